"""How fast is the simulator, beside other ways of doing the same work?

``python -m benchmarks`` runs every spec of :mod:`benchmarks.registry` and prints ratios; ``--quick`` is the short form.
Contenders of one spec simulate the same requests in one process, in alternating rounds, and their results are
compared before their times are: a fast engine that answers something else is an error, not a record.

Read :mod:`benchmarks.registry` first (what is measured and the targets), then :mod:`benchmarks.work` (the scenarios,
which ``simulate`` also runs), then the modules that measure: :mod:`benchmarks.side_by_side`,
:mod:`benchmarks.scaling`, :mod:`benchmarks.processes`. :mod:`benchmarks.ours` is the only one that touches the engines
under test, :mod:`benchmarks.peers` holds everybody else's.
"""

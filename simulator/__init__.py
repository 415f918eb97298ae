"""Does this fleet hold its latency SLO at this load, and what does it cost?

One path of data, each arrow a module-level function, each value frozen::

    scenario.yaml --load_scenario--> Scenario --compile_model--> Model --run--> RunLog --measure--> Report

where each step lives
    ``scenario``                    the YAML door: every rule of the input, every problem with its line and column
    ``arrivals``, ``traces``        when requests come: drawn, or read
    ``model``                       the scenario as arrays, with every draw made ahead
    ``reference``, ``compiled``     two engines, one answer: they only move time
    ``policies``                    every decision, written once and called by both engines
    ``run``, ``replicate``          which engine, how many replications, on how many cores
    ``log``                         the record tables: the columns of a run, described once
    ``metrics``, ``intervals``      numbers computed from the logs and from nothing else
    ``theory``                      closed forms that the engines are held against
    ``prices``, ``billing``         dollars; a price that is missing stops the run
    ``report``, ``render``, ``cli`` what a person or a program is told

what holds everywhere
    Time is int64 nanoseconds inside (``clock`` says why) and carries its unit in its name at every edge.
    Randomness is data: engines are functions of a Model, so two runs are compared bit for bit.
    Simultaneous events have a declared order, (time, rank, index), the same integers in both engines.
    A library function raises; only ``cli`` prints and exits.

This package imports nothing here, so that ``simulate --help`` answers before NumPy would have loaded. It may import
``calibration`` and is imported by what plans with it, never the other way round.
"""

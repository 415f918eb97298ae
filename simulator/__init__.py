"""Does this fleet hold its latency SLO at this load, and what does it cost?

One path of data, each arrow a module-level function, each value frozen::

    scenario.yaml --load_scenario--> Scenario --compile_model--> Model --run--> RunLog --measure--> Report

where each step lives
    ``scenario``, ``fleet_spec``, ``workload_spec``, ``arrival_spec``
        the YAML door: every rule of the input, every problem with its line and column (``crosscheck``, ``overrides``)
    ``arrivals``, ``operational_time``, ``traces``, ``mooncake``, ``rate_series``
        when requests come: drawn, or read
    ``compiling``, ``model``, ``noise``, ``draws``
        the scenario in integers, with every draw made ahead
    ``policies``
        every decision, written once and called by both engines
    ``reference``
        the engine to read: SimPy processes, the specification
    ``compiled``, ``compiled_batching``, ``compiled_service``, ``state``
        the engine to use: one loop over tables (``columns``, ``reading``, ``minima``, ``clients``, ``kernels``)
    ``run``, ``study``, ``replicate``
        which engine, in how many stretches, how many replications, on how many cores
    ``log``
        the record tables: the columns of a run, described once
    ``tally``, ``distribution``, ``metrics``, ``intervals``, ``loads``, ``cautions``, ``bottleneck``
        numbers computed from the logs and from nothing else, and what they must not hide
    ``theory``
        closed forms that the engines are held against
    ``prices``, ``price_list``, ``price_cells``, ``price_terms``, ``price_types``, ``price_checks``, ``plan_rates``
        what an hour costs on which terms; a price that is missing stops the run
    ``price_import``, ``skypilot``, ``aws_price_list``, ``aws_savings_plans``, ``json_entries``
        other people's price files
    ``price_history``, ``price_changes``
        how prices moved, and what a cut costs whoever has committed
    ``purchase_plan``, ``commitment``, ``capacity_guarantee``, ``discount_tiers``, ``capital_cost``
        what can be bought, as values
    ``dispatch``, ``ledger``, ``ledger_input``, ``ledger_lines``, ``idle_capacity``, ``focus_rows``, ``billing``
        dollars: which commitment covers which hour, and the bill
    ``commitment_spec``, ``bought``, ``purchases``
        what a scenario bought ahead, at which rates, and what an hour of it costs (through ``ledger``)
    ``outcome``, ``render``, ``output``, ``cli``
        what a person or a program is told

what holds everywhere
    Time is int64 nanoseconds inside (``clock`` says why) and carries its unit in its name at every edge.
    Randomness is data: engines are functions of a Model, so two runs are compared bit for bit.
    Simultaneous events have a declared order, which ``reference`` states, the same integers in both engines.
    A library function raises; only ``cli`` prints and exits.

This package imports nothing here, so that ``simulate --help`` answers before NumPy would have loaded. It may import
``calibration`` and is imported by what plans with it, never the other way round.
"""

"""Demand forecasts: from what was wanted to what will be, with intervals that hold.

Where to read: :mod:`optimizer.forecast.series` forecasts one series, :mod:`optimizer.forecast.joint` all pools of a
history together. Below them: scales and seasons (``scale``, ``season``), models (``models``, ``statistical``), the
rolling-origin backtest that chooses between them (``backtest``, ``choose``), intervals and sample paths (``marginals``,
``paths``), holidays and launches (``occasions``). Months and years are foretold by futures of the level
(``level_forecast``, ``level_backtest``; ``levels``, ``futures`` and ``substitution``, which commitments are bought by,
too). Above them: the page, the figure and the command.
"""

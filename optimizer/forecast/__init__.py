"""Demand forecasts: from what was wanted to what will be, with intervals that hold.

Where to read: :mod:`optimizer.forecast.series` forecasts one series, :mod:`optimizer.forecast.joint` all pools of a
history together. Below them: scales and seasons (``scale``, ``season``), models (``models``, ``statistical``), the
rolling-origin backtest that chooses between them (``backtest``, ``choose``), intervals and sample paths (``marginals``,
``paths``), holidays and launches (``occasions``). Above them: the page, the figure and the command.
"""

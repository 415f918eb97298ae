"""Measured profiles of served models, and the door through which every file enters.

Where to start reading
----------------------
``problems``  what a broken rule looks like to a person: :class:`~calibration.problems.Problem`
``source``    a YAML or JSON file becomes plain values that still know their line and column
``units``     durations and memory as people write them: ``5ms``, ``24GiB``
``schema``    the pydantic side: base class, number types, and pydantic's errors in plain words
``profile``   how long an accelerator takes for a batch: :class:`~calibration.profile.Profile`

Nothing here knows of fleets, traffic or money: those are :mod:`simulator.scenario`.
"""

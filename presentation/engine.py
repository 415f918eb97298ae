"""Is the simulator compiled yet? The first run in an installation compiles it, which a page should say."""

from __future__ import annotations

from simulator.compiled import is_warm
from simulator.compiling import compile_model
from simulator.run import warm_up
from simulator.scenario import Scenario


def is_ready(scenario: Scenario) -> bool:
    """Whether a run of this scenario starts at once."""
    return is_warm(compile_model(scenario).plain)


def make_ready(scenario: Scenario) -> None:
    """Compile what a run of this scenario needs; about 20 seconds, once."""
    warm_up(compile_model(scenario))

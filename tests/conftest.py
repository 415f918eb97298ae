"""What every test file may rely on: the options that bring in the long tests, and one policy for hypothesis.

Options
-------
``--run-slow``, ``--run-gpu`` and ``--run-benchmarks`` bring in the tests marked ``slow``, ``gpu`` and
``benchmark``. Without its option a marked test is deselected, not skipped: it is no part of that run.

Hypothesis
----------
No profile has a deadline: a first call may compile the engine, and a shared machine stalls. ``ci`` draws the same
examples in every run, so that a change is judged by what it changed; ``local`` draws new ones; ``short`` draws few,
for the run without the compiler, where an example costs a hundred times as much. ``HYPOTHESIS_PROFILE`` chooses.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

OPTIONS = {"slow": "--run-slow", "gpu": "--run-gpu", "benchmark": "--run-benchmarks"}

settings.register_profile("local", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("short", settings.get_profile("ci"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add one option a marker."""
    for marker, option in OPTIONS.items():
        parser.addoption(option, action="store_true", default=False, help=f"also run the tests marked {marker}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the marked tests whose option was not given."""
    unasked = [marker for marker, option in OPTIONS.items() if not config.getoption(option)]
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]

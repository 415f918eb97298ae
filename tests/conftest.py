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
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from simulator.log import RunLog
    from simulator.model import Model

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


LAWFUL_UP_TO = 2_000
"""Requests up to which every run of the suite is held to all laws; they re-read a log in plain Python."""


@pytest.fixture(scope="session", autouse=True)
def every_run_keeps_the_laws() -> Iterator[None]:
    """Hold every run that any test makes in this process, by whichever engine, to the laws of :mod:`tests.laws`."""
    from simulator import reference, run
    from simulator.log import freeze
    from tests.laws import check_laws
    from tests.models import joined

    compiled_logs, run_reference = run._CompiledRun.logs, reference.run_reference

    def lawful_logs(self: run._CompiledRun, stretch: int | None) -> Iterator[RunLog]:
        kept, rows = [], 0
        for log in compiled_logs(self, stretch):
            rows += len(log.requests)
            if rows <= LAWFUL_UP_TO:
                kept.append(log)
            yield log
        if rows <= LAWFUL_UP_TO:
            whole = joined(kept)
            freeze(*vars(whole.requests).values(), *vars(whole.batches).values())
            check_laws(self._model, whole)

    def lawful_reference(model: Model) -> RunLog:
        log = run_reference(model)
        if len(log.requests) <= LAWFUL_UP_TO:
            check_laws(model, log)
        return log

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run._CompiledRun, "logs", lawful_logs)
        patch.setattr(reference, "run_reference", lawful_reference)
        yield

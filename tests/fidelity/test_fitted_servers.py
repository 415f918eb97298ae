"""A profile that the fit makes of a server's calibration replays that server within the gates of test_servers.

Nothing is told beyond what a client and the executions' own times show: the latency of lone requests, the throughput of
a saturated closed loop, mean execution times by batch size. At p50 these replays err by at most 4.8 %, those with the
split by hand, from a log of every execution, by at most 3.7 %.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.fit import fit_profile
from tests.calibration.server_calibration import SERVERS, calibration_of
from tests.fidelity import server_runs
from tests.fidelity.server_runs import ServerRun, read_run
from tests.fidelity.test_servers import replay

FILES = sorted(path for path in SERVERS.glob("*.json") if not path.stem.startswith("litserve"))


def fitted(run: ServerRun) -> dict[str, Any]:
    """The profile that the fit gives, as a scenario writes it."""
    model = fit_profile(calibration_of(run.name, logged=False)).service_model
    assert model is not None
    assert model.overheads is not None
    told = json.loads(model.model_dump_json(include={"batch", "latency_ms", "latency_cv"}, exclude_none=True))
    return {**told, "overheads": json.loads(model.overheads.model_dump_json())}


@pytest.mark.skipif(not FILES, reason="../shared/data/servers, the recorded runs, is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fitted_profile_matches_a_real_server(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(path)
    if not run.clean:
        return
    monkeypatch.setattr(server_runs, "profile_of", fitted)
    errors = replay(run, tmp_path)
    assert abs(errors.batch) <= 0.05
    if run.utilisation is None:
        assert abs(errors.p50) <= 0.05
        return
    light = run.utilisation <= 0.8
    assert abs(errors.p50) <= (0.05 if light else 0.10)
    assert abs(errors.p99) <= (0.10 if light else 0.15)
    assert abs(errors.throughput) <= 0.01

"""What the tests of several backends share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from calibration.backends import onnx_exports
from calibration.backends.protocol import Variant


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep exported models apart from the user's, and export them in this process: a new one takes seconds to begin."""

    def run(variant: Variant, folder: Path, command: object) -> None:
        said = onnx_exports.export_task(json.loads(json.dumps({"variant": asdict(variant), "folder": str(folder)})))
        assert "file" in said, (said, command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(onnx_exports, "_run", run)
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start in an empty folder, whose modules can be imported, and forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]

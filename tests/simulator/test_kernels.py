"""How the engine is compiled and kept: a change of any file compiled in is a new engine, and indices are checked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from simulator import kernels
from simulator.kernels import _COMPILED_IN

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the files that are compiled in, and an empty cache, as if this were another installation."""
    code = tmp_path / "code"
    for name in _COMPILED_IN:
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_bytes((ROOT / "simulator" / name).read_bytes())
    monkeypatch.setattr(kernels, "_HERE", code)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    kernels.folder.cache_clear()
    yield code
    kernels.folder.cache_clear()


@pytest.mark.parametrize("name", _COMPILED_IN)
def test_another_text_of_any_file_is_another_engine(elsewhere: Path, name: str) -> None:
    """An upgrade that changed a policy and left yesterday's compiled loop in use would decide as yesterday."""
    before = kernels.folder()
    with (elsewhere / name).open("a") as file:
        file.write("\n")
    kernels.folder.cache_clear()
    assert before != kernels.folder()


def test_another_compiler_is_another_engine(elsewhere: Path) -> None:  # noqa: ARG001
    """A loop kept by an older numba need not load in a newer one."""
    before = kernels.folder()
    kernels.folder.cache_clear()
    with mock.patch("numba.__version__", "99.0"):
        assert before != kernels.folder()


def test_the_user_may_say_where_the_engine_is_kept(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers and on clusters the home is not the place; by default it is the user's cache folder."""
    assert elsewhere.parent / "cache" == kernels.folder().parent
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(elsewhere / "xdg"))
    kernels.folder.cache_clear()
    assert elsewhere / "xdg" / "headroom" == kernels.folder().parent


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="there is no compiler at work")
def test_a_form_of_the_engine_is_remembered_once_it_is_kept(elsewhere: Path) -> None:  # noqa: ARG001
    """Each form compiles on its own: one that is kept says nothing of the other."""
    kernels.folder().mkdir(parents=True)
    assert not kernels.remembers("plain")
    kernels.remember("plain")
    assert kernels.remembers("plain")
    assert not kernels.remembers("full")


def test_a_home_that_cannot_be_written_to_stops_nobody(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a read-only container every process compiles; it must not fail for want of a folder."""
    (elsewhere / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(elsewhere / "file"))
    kernels.folder.cache_clear()
    with mock.patch.object(kernels.numba.config, "CACHE_DIR", "as it was"):
        kernels.use()
        assert "as it was" == kernels.numba.config.CACHE_DIR
    kernels.remember("plain")


@pytest.mark.parametrize("index", [0, 7, np.int64(7), np.int32(7)])
def test_a_natural_index_is_the_same_index(index: int) -> None:
    """Indices lose their sign and nothing else."""
    assert index == kernels.natural(index)


def test_without_the_compiler_a_negative_index_is_found() -> None:
    """Compiled, it would read or write outside of the table; here it says so."""
    program = (
        "import numpy as np\n"
        "from simulator.kernels import natural\n"
        "assert 9 == natural(np.int64(9)) and type(natural(np.int64(9))) is int\n"
        "natural(np.int64(-1))\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "IndexError: an index of the engine must be 0 or more, got -1" == done.stderr.splitlines()[-1]

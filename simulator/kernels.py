"""How the engine's functions are compiled, and where the result is kept between processes.

``kernel`` and ``inlined`` compile without reference counting (``_nrt=False``): the tables outlive every call, and
counting them at each call boundary costs 3 microseconds a request, forty times the simulation itself. Such functions
may not allocate.

For the disk cache numba looks only at the date of the file that holds the compiled function, not at what that function
calls. An upgrade that changes a policy, or an installer that sets all dates alike, would run the old decisions. So
the cache lives in a folder named after the content of every file that is compiled in.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np

_HERE: Final = Path(__file__).parent
_COMPILED_IN: Final = (
    "compiled.py",
    "compiled_batching.py",
    "compiled_service.py",
    "reading.py",
    "state.py",
    "minima.py",
    "clients.py",
    "clock.py",
    "log.py",
    "kernels.py",
    *sorted(f"policies/{path.name}" for path in (_HERE / "policies").glob("*.py")),
)


@functools.cache
def folder() -> Path:
    """The cache folder of this version of the code: under NUMBA_CACHE_DIR if set, else the user's cache folder."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in _COMPILED_IN:
        digest.update((_HERE / name).read_bytes())
    given = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "headroom"
    return base / f"engine-{digest.hexdigest()[:16]}"


def use() -> None:
    """Make numba keep the compiled loop in :func:`folder`; call before the first function is decorated."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a read-only home: numba falls back to its own choice
    numba.config.CACHE_DIR = str(place)


def remember(form: str) -> None:
    """Note that a form of the engine has been compiled and kept."""
    with contextlib.suppress(OSError):  # a read-only home: every process compiles
        (folder() / f"{form}.ready").touch()


def remembers(form: str) -> bool:
    """Whether a form of the engine needs no compiling: it has been kept, or there is no compiler at work."""
    return bool(numba.config.DISABLE_JIT) or (folder() / f"{form}.ready").exists()


use()
kernel = numba.njit(_nrt=False)
"""Compiles a function of the engine."""
inlined = numba.njit(_nrt=False, forceinline=True)
"""The same for functions on the path of every request: no call remains."""
entry = numba.njit(_nrt=False, cache=True, nogil=True, error_model="numpy")
"""The same for functions that Python calls; they are kept on disk."""


def _checked(index: int) -> int:
    """Stand in for ``np.uint64`` without the compiler: NumPy would make a float of an unsigned and a signed number.

    Compiled code reads and writes wherever an index points, so this is where a negative one is found.
    """
    if index < 0:
        raise IndexError(f"an index of the engine must be 0 or more, got {index}")
    return int(index)


_unsigned: Callable[[int], Any] = _checked if numba.config.DISABLE_JIT else np.uint64


@inlined
def natural(index: int) -> int:
    """Return an index that is 0 or more as an unsigned number: spares the engine Python's indexing from the end.

    Four instructions at each of some forty places a request: a third of the run time. Only indices become unsigned;
    arithmetic with a signed number gives a signed one again.
    """
    return _unsigned(index)

"""Compile the C++ loops of this folder on the spot and call them on NumPy arrays.

Nothing is kept: the shared library lives in a temporary folder for as long as the process does.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

COMPILERS: Final = ("g++", "clang++", "c++")
FLAGS: Final = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC")


class NoCompilerError(RuntimeError):
    """There is no C++ compiler here, or it refuses; the text says which."""


@dataclass(frozen=True)
class Columns:
    """What the batching loop leaves behind: one row a request, in order of arrival. All columns have shape (n,)."""

    start_ns: Int64s
    end_ns: Int64s
    instance: Int32s
    batch: Int64s

    @classmethod
    def of(cls, n_requests: int) -> Columns:
        """Room for the requests, not yet touched."""
        wide = (np.empty(n_requests, dtype=np.int64) for _ in range(3))
        return cls(start_ns=next(wide), end_ns=next(wide), batch=next(wide), instance=np.empty(n_requests, np.int32))


@functools.cache
def compiler() -> str | None:
    """Path of the C++ compiler: ``$CXX`` if set, else the first of ``COMPILERS`` on the path; None without one."""
    named = os.environ.get("CXX")
    return next((path for name in ((named,) if named else COMPILERS) if (path := shutil.which(name))), None)


@functools.cache
def compiler_version() -> str:
    """First line of the compiler's ``--version``, or that there is none."""
    found = compiler()
    if found is None:
        return f"none ({', '.join(COMPILERS)} are not on the path)"
    return subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="headroom-benchmarks-")


@functools.cache
def _function(name: str, source: str) -> Any:
    found = compiler()
    if found is None:
        raise NoCompilerError(f"no C++ compiler: {', '.join(COMPILERS)} are not on the path; install one or set CXX")
    library = Path(_folder().name) / f"{source}.so"
    if not library.exists():
        command = [found, *FLAGS, "-o", str(library), str(Path(__file__).with_name(source))]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise NoCompilerError(f"{found} does not compile {source}: {built.stderr.strip().splitlines()[:1]}")
    return getattr(ctypes.CDLL(str(library)), name)


def _pointer(column: npt.NDArray[Any], dtype: type[np.generic], length: int) -> ctypes.c_void_p:
    """Address of a column, once it is sure that C++ may walk along it."""
    if column.dtype != dtype or not column.flags.c_contiguous or len(column) != length:
        raise ValueError(
            f"a column must be {length} contiguous {dtype.__name__}, got {column.dtype} of shape {column.shape}"
        )
    return ctypes.c_void_p(column.ctypes.data)


def load_batching() -> None:
    """Compile the batching loop now, so that no timed call pays for it.

    Raises
    ------
    NoCompilerError
        There is no compiler, or it refuses.
    """
    _function("batching", "batching.cpp")


def batching(
    arrival_ns: Int64s, n_instances: int, max_batch: int, max_delay_ns: int, service_ns: Int64s, into: Columns
) -> int:
    """Fill the columns by the tuned loop of ``batching.cpp``; how many batches did it take?

    ``service_ns[b]`` is the time a batch of b takes, shape (max_batch + 1,).

    Raises
    ------
    NoCompilerError
        There is no compiler, or it refuses.
    """
    loop = _function("batching", "batching.cpp")
    loop.restype = ctypes.c_int64
    n = len(arrival_ns)
    batches = loop(
        ctypes.c_int64(n),
        _pointer(arrival_ns, np.int64, n),
        ctypes.c_int32(n_instances),
        ctypes.c_int32(max_batch),
        ctypes.c_int64(max_delay_ns),
        _pointer(service_ns, np.int64, max_batch + 1),
        _pointer(into.start_ns, np.int64, n),
        _pointer(into.end_ns, np.int64, n),
        _pointer(into.instance, np.int32, n),
        _pointer(into.batch, np.int64, n),
    )
    if batches < 0:
        raise ValueError(f"the loop takes 1 to 4096 instances, got {n_instances}")
    return int(batches)


def load_multi_server() -> None:
    """Compile the loop for c servers now, so that no timed call pays for it.

    Raises
    ------
    NoCompilerError
        There is no compiler, or it refuses.
    """
    _function("multi_server", "multi_server.cpp")


def multi_server(arrival_ns: Int64s, service_ns: Int64s, n_servers: int, start_ns: Int64s, end_ns: Int64s) -> None:
    """Fill the two columns by the loop of ``multi_server.cpp``.

    Raises
    ------
    NoCompilerError
        There is no compiler, or it refuses.
    """
    loop = _function("multi_server", "multi_server.cpp")
    loop.restype = None
    n = len(arrival_ns)
    loop(
        ctypes.c_int64(n),
        _pointer(arrival_ns, np.int64, n),
        _pointer(service_ns, np.int64, n),
        ctypes.c_int32(n_servers),
        _pointer(start_ns, np.int64, n),
        _pointer(end_ns, np.int64, n),
    )

# The part of numba used here, typed so that a compiled function keeps its signature. numba's own stubs give it up
# for a bare @njit (numba 0.68), and then nothing that a kernel takes or returns would be checked.

from collections.abc import Callable
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from numba import config as config
from numba import extending as extending
from numba import types as types

__version__: str

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)

class Dispatcher(Generic[_P, _R_co]):
    signatures: list[tuple[Any, ...]]
    py_func: Callable[_P, _R_co]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...

class _Jit:
    def __call__(self, function: Callable[_P, _R_co], /) -> Dispatcher[_P, _R_co]: ...

@overload
def njit(function: Callable[_P, _R_co], /) -> Dispatcher[_P, _R_co]: ...
@overload
def njit(
    *,
    cache: bool = ...,
    nogil: bool = ...,
    boundscheck: bool = ...,
    fastmath: bool = ...,
    forceinline: bool = ...,
    inline: Literal["never", "always"] = ...,
    error_model: Literal["python", "numpy"] = ...,
    _nrt: bool = ...,
) -> _Jit: ...

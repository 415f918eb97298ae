from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

def intrinsic(function: Callable[..., Any], /) -> Callable[..., Any]: ...
def register_jitable(function: _F, /) -> _F: ...

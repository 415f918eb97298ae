"""Which FLOPs and bytes do the operators of an execution ask for? Counted as PyTorch dispatches them.

FLOPs: matrix products, convolutions and attention, two for a multiply-add, as ``torch.utils.flop_counter`` counts them.

Bytes: every operator reads each of its inputs once and writes each of its outputs once. Weights are what is read that
is neither an input of the model nor written by an operator before.
Views move nothing, an allocation writes nothing, and a look-up (an embedding) reads only the rows it returns. It is a
lower bound of what the operators ask of the memory system: whatever an operator reads twice counts once. What stays
in a cache from one operator to the next need not come from memory at all, and a compiler that fuses operators saves
their intermediate results: of compiled executions only weights, inputs and outputs of the whole are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import NotImplementedType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

_LOOK_UPS: Final = {"embedding", "index_select", "gather", "index", "take"}
"""Operators that read of their first input only what they return."""

_SCATTERS: Final = {"index_copy_", "index_put_", "_index_put_impl_", "scatter_", "scatter_add_", "index_add_"}
"""Operators that write of their first input only what they are given."""

_OVERWRITES: Final = {"copy_", "fill_", "zero_", "normal_", "uniform_"}
"""Operators that write their first input without reading it."""

_ALLOCATIONS: Final = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}

_PACKED_LINEAR: Final = {"linear_dynamic", "linear_relu_dynamic"}
"""Quantised layers, whose weights are packed where a dispatch does not see them: a byte each."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one execution computes and moves at least."""

    flops: float
    """Operations of matrix products, convolutions and attention."""
    weight_bytes: float
    """Weights read."""
    activation_bytes: float
    """Everything else that operators read and write."""
    boundary_bytes: float
    """Inputs and outputs of the model as a whole."""
    convolution_share: float = 0.0
    """Share of the FLOPs that convolutions have."""

    def moved_bytes(self, *, fused: bool = False) -> float:
        """Bytes that are moved at least: operator by operator, or by the whole where a compiler has fused it."""
        return self.weight_bytes + (self.boundary_bytes if fused else self.activation_bytes)


def count_work(module: Callable[..., Any], inputs: Iterable[torch.Tensor]) -> Work:
    """What does one execution of this module compute and move? Executes it once, uncompiled.

    Parameters
    ----------
    module
        A network in PyTorch, or any callable of tensors; of a compiled one the original is executed.
    inputs
        Tensors that it takes.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module, inputs = getattr(module, "_orig_mod", module), tuple(inputs)
    traffic = _Traffic({_place(tensor) for tensor in inputs})
    flops = FlopCounterMode(display=False, custom_mapping=_formulas())
    with torch.inference_mode(), flops, _watching(traffic):
        produced = module(*inputs)
    by_operator = flops.get_flop_counts().get("Global", {})
    total = float(flops.get_total_flops())
    places = set(map(_place, inputs))  # a KV cache that is given back was not written anew
    outer = (*inputs, *(tensor for tensor in _tensors(produced) if _place(tensor) not in places))
    convolutions = sum(count for operator, count in by_operator.items() if "conv" in str(operator))
    return Work(
        flops=total,
        weight_bytes=float(traffic.weight_bytes),
        activation_bytes=float(traffic.activation_bytes),
        boundary_bytes=float(sum(map(extent, outer))),
        convolution_share=convolutions / total if total else 0.0,
    )


def _watching(traffic: _Traffic) -> AbstractContextManager[Any]:
    """Let every operator that is dispatched be accounted for."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    def dispatch(mode: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG001
        kwargs = kwargs or {}
        is_operator = isinstance(func, torch._ops.OpOverload)
        # In inference mode composite operators arrive whole; the counter of FLOPs takes them apart, too.
        if is_operator:
            with mode:
                produced = func.decompose(*args, **kwargs)
            if not isinstance(produced, NotImplementedType):
                return produced
        produced = func(*args, **kwargs)
        if is_operator:
            traffic.account(func, args, kwargs, produced)
        return produced

    watching: Any = type("Watching", (TorchDispatchMode,), {"__torch_dispatch__": dispatch})
    mode: AbstractContextManager[Any] = watching()
    return mode


def extent(tensor: torch.Tensor) -> int:
    """Bytes of the distinct elements of a tensor: an expanded axis counts once."""
    if str(tensor.layout) != "torch.strided":
        return tensor.numel() * tensor.element_size()
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in sizes if stride != 0 or size == 0) * tensor.element_size()


class _Traffic:
    """Adds up what each operator reads and writes."""

    def __init__(self, made: set[int]) -> None:
        self._made = made
        self.weight_bytes = 0
        self.activation_bytes = 0

    def account(self, func: Any, args: Any, kwargs: Any, produced: Any) -> None:
        """Add one execution of one operator."""
        name = func._overloadpacket.__name__
        read, written = _tensors((args, kwargs)), _tensors(produced)
        places = {_place(tensor) for tensor in read}
        if written and all(_place(tensor) in places for tensor in written) and not func._schema.is_mutable:
            return  # a view
        self._made |= {_place(tensor) for tensor in written if _place(tensor) not in places}
        if name in _ALLOCATIONS or not written:
            return
        if func._schema.is_mutable:
            self._account_in_place(name, func, args, kwargs)
            return
        self._write(written)
        if name in _LOOK_UPS:
            table, *others = read
            self._read([table], min(1.0, sum(map(extent, written)) / max(extent(table), 1)))
            self._read(others)
            return
        self._read(read)
        if name in _PACKED_LINEAR:
            self.weight_bytes += read[0].shape[-1] * written[0].shape[-1]

    def _account_in_place(self, name: str, func: Any, args: Any, kwargs: Any) -> None:
        given = [*zip(func._schema.arguments, args, strict=False)]
        given += [(argument, kwargs[argument.name]) for argument in func._schema.arguments if argument.name in kwargs]
        changed = [one for argument, value in given if _is_written(argument) for one in _tensors(value)]
        others = [one for argument, value in given if not _is_written(argument) for one in _tensors(value)]
        self._read(others)
        if name in _SCATTERS:
            floating = [one for one in others if one.dtype == changed[0].dtype]
            self._write(floating[-1:])
            return
        self._write(changed)
        if name not in _OVERWRITES and not all(argument.kwarg_only for argument, _ in given if _is_written(argument)):
            self._read(changed)  # an output that the caller has allocated (out=) is a keyword, and not read

    def _read(self, tensors: Iterable[torch.Tensor], share: float = 1.0) -> None:
        seen: set[int] = set()
        for tensor in tensors:
            if id(tensor) in seen:
                continue
            seen.add(id(tensor))
            size = round(share * extent(tensor))
            if _place(tensor) in self._made:
                self.activation_bytes += size
            else:
                self.weight_bytes += size

    def _write(self, tensors: Iterable[torch.Tensor]) -> None:
        self.activation_bytes += sum(map(extent, tensors))


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _tensors(values: Any) -> list[torch.Tensor]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _place(tensor: torch.Tensor) -> int:
    """Where the elements of a tensor lie; views of one another have the same place."""
    try:
        place: int = tensor.untyped_storage()._cdata
    except RuntimeError:  # a layout without a storage, such as MKL-DNN's
        return -id(tensor)
    return place


def _formulas() -> dict[Any, Callable[..., int]]:
    """FLOPs of operators that PyTorch's own counter does not know: attention on a CPU, and quantised layers."""
    import torch
    from torch.utils import flop_counter

    sdpa_flop_count: Any = flop_counter.sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        grouped = query[1] // key[1]  # heads that share their keys and values are computed one by one
        spread = [(shape[0], shape[1] * grouped, *shape[2:]) for shape in (key, value)]
        return int(sdpa_flop_count(query, *spread))

    def quantised(rows: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(2 * math.prod(rows) * out_shape[-1])

    known: dict[Any, Callable[..., int]] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    for name in _PACKED_LINEAR:
        known[getattr(torch.ops.quantized, name)] = quantised
    return known

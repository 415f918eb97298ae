"""Networks of PyTorch written to ONNX files, in fp32, fp16 or int8.

A built-in model is exported once, in a process of its own (``python -m calibration.backends.onnx_exports TASK``), and
kept in the user's cache: whoever measures ONNX Runtime then measures neither the time of an export nor the memory of
PyTorch. The cache is ``$XDG_CACHE_HOME/headroom/onnx`` (``~/.cache`` where that is not set), may be deleted at any
time, and loses what nobody has used for a week.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.backends.torch_runtimes import without_deprecations
from calibration.backends.torch_variants import network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from calibration.backends.torch_variants import Network

_OPSET: Final = 17
"""The first with layer normalisation as one operator; ONNX Runtime has executed it since 1.12."""

_TRACED_BATCH: Final = 2
"""A batch of one may take a path of its own."""

_UNUSED_S: Final = 7 * 86_400.0

_REPOSITORY: Final = Path(__file__).resolve().parents[2]

COMMAND: Final = (sys.executable, "-m", "calibration.backends.onnx_exports")
"""What exports a built-in model; the task is its last argument."""


def kept_export(variant: Variant, sizes: Mapping[str, int], command: Sequence[str] = COMMAND) -> tuple[Path, list[str]]:
    """The file of a built-in model in its precision, and notes on it; exported now where it is not kept yet.

    Raises
    ------
    UnavailableError
        When it is not kept, and PyTorch cannot be had or cannot export it.
    OutOfMemoryError
        When there is not the memory to export it.
    """
    folder = _cache_folder()
    kept = folder / _key(variant, sizes)
    facts = kept / "facts.json"
    if not facts.exists():
        if importlib.util.find_spec("torch") is None:  # not imported: its memory would be measured
            remedy = "Install it: pip install 'headroom-sim[torch]'."
            raise UnavailableError(f"PyTorch exports the built-in models to ONNX, and is not installed. {remedy}")
        _forget_unused(folder)
        with tempfile.TemporaryDirectory(prefix="export-", dir=folder) as made:
            _run(variant, Path(made), command)
            try:
                os.rename(made, kept)
            except OSError:
                if not facts.exists():  # else another process was faster
                    raise
            else:
                os.makedirs(made)  # for the context to delete
    os.utime(facts)
    told = json.loads(facts.read_text(encoding="utf-8"))
    return kept / told["file"], list(told["notes"])


def export(network: Network, precision: str, folder: Path) -> tuple[Path, list[str]]:
    """Write a network to a file in the folder, its batch size left free; and notes on it.

    The exporter is the one that traces: the newer one needs one more package, and gives the same operators here.
    """
    import numpy as np
    import torch

    half = precision == "fp16"
    arrays = [np.stack(column) for column in zip(*network.items(_TRACED_BATCH), strict=True)]
    kept = context_of(network.sizes, network.resident(_TRACED_BATCH))
    tensors = [torch.from_numpy(array) for array in (*arrays, *kept)]
    example = tuple(tensor.half() if half and tensor.is_floating_point() else tensor for tensor in tensors)
    names = [f"input_{number}" for number in range(len(example))]
    path = folder / "model.onnx"
    with without_deprecations(), torch.inference_mode():
        torch.onnx.export(
            network.module.half() if half else network.module,
            example,
            str(path),
            dynamo=False,
            input_names=names,
            dynamic_axes={name: {0: "batch"} for name in names},
            opset_version=_OPSET,
        )
    notes = [f"exported from PyTorch {torch.__version__}, opset {_OPSET}"]
    if kept:
        notes.append("new keys and values are joined to the KV cache, which copies it: ONNX writes nothing in place")
    if precision == "int8":
        notes.append(quantise(path, folder / "int8.onnx"))
        path.unlink()
        path = folder / "int8.onnx"
    return path, notes


def context_of(sizes: Mapping[str, int], cache: Sequence[Any]) -> tuple[npt.NDArray[np.float32], ...]:
    """A KV cache without room for new tokens: in ONNX they are joined to it, not written into it."""
    context = sizes.get("context_tokens", 0)
    return tuple(array[:, :, :context] for array in cache) if context else ()


def quantise(source: Path, target: Path) -> str:
    """Write the file with its weights in int8, and say in a sentence how much of it that is.

    Weights are quantised once, activations in every execution, from the range of each batch.
    """
    quantization: Any = importlib.import_module("onnxruntime.quantization")
    onnx = onnx_package()
    logging.disable(logging.WARNING)  # it advises, through the root logger, what concerns convolutions alone
    try:
        with without_deprecations():
            quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QUInt8)
    finally:
        logging.disable(logging.NOTSET)
    counts: dict[str, int] = {}
    for node in onnx.load(str(target), load_external_data=False).graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    integer = {name: count for name, count in counts.items() if name in _INTEGER_OPERATORS}
    if not integer:
        raise UnavailableError("Dynamic quantisation finds no operator in this model that it knows, and changes none.")
    listed = ", ".join(f"{count} {name}" for name, count in integer.items())
    return f"int8 by dynamic quantisation: {listed}; all other operators compute in fp32"


_INTEGER_OPERATORS: Final = ("MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM", "QAttention", "QGemm")


def onnx_package() -> Any:
    """The package onnx, or an UnavailableError that says how to get it."""
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        remedy = "Install it: pip install 'headroom-sim[onnx]'."
        raise UnavailableError(f"The package onnx cannot be imported ({error}). {remedy}") from None


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for folder in (base / "headroom" / "onnx", Path(tempfile.gettempdir()) / "headroom-onnx"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise UnavailableError(f"There is no folder to keep an exported model in: '{base}' cannot be written to.")


def _key(variant: Variant, sizes: Mapping[str, int]) -> str:
    """A name that changes with whatever the file's content depends on, the networks' source text included."""
    content = hashlib.sha256()
    for source in (Path(__file__), *sorted((_REPOSITORY / "calibration" / "models").glob("*.py"))):
        content.update(source.read_bytes())
    try:
        content.update(version("torch").encode())
    except PackageNotFoundError:
        content.update(b"no torch")
    asked = [variant.model, dict(sorted(sizes.items())), variant.precision, variant.seed]
    content.update(json.dumps(asked).encode())
    return f"{variant.model}-{variant.precision}-{content.hexdigest()[:16]}"


def _forget_unused(folder: Path) -> None:
    for facts in folder.glob("*/facts.json"):
        try:
            if time.time() - facts.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(facts.parent)
        except OSError:
            continue


def _run(variant: Variant, folder: Path, command: Sequence[str]) -> None:
    """Export in a process of its own; raises here what was raised there."""
    path = os.pathsep.join(filter(None, (str(_REPOSITORY), os.environ.get("PYTHONPATH"))))
    task = json.dumps({"variant": asdict(variant), "folder": str(folder)})
    ended = subprocess.run(
        [*command, task], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        said = {"error": f"the process ended without an answer (exit code {ended.returncode})"}
    if "memory" in said:
        raise OutOfMemoryError(f"{variant.model} cannot be exported to ONNX: {said['memory']}")
    if "error" in said:
        raise UnavailableError(f"{variant.model} cannot be exported to ONNX: {said['error']}")


def export_task(task: Mapping[str, Any]) -> dict[str, str]:
    """Export a built-in model into a folder, with its facts; what went wrong instead, in words."""
    try:
        variant, folder = Variant(**task["variant"]), Path(task["folder"])
        path, notes = export(network_of(variant), variant.precision, folder)
    except MemoryError as error:
        return {"memory": str(error) or "there is not enough memory"}
    except Exception as error:
        return {"error": " ".join(str(error).split())[:500] or type(error).__name__}
    (folder / "facts.json").write_text(json.dumps({"file": path.name, "notes": notes}), encoding="utf-8")
    return {"file": path.name}


if __name__ == "__main__":
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # an exporter may print
    with answer:
        json.dump(export_task(json.loads(sys.argv[1])), answer)

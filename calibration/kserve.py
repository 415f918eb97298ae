"""A server that speaks the KServe v2 protocol (Triton, MLServer, OpenVINO): what it says of a model, and what to send.

Inputs are made from the model's own description: numbers from the seed, of the shapes and datatypes it names. Triton
takes them as bytes (its binary tensor extension), so that reading decimal digits is not measured; others as JSON.

References
----------
KServe, Open Inference Protocol v2 (REST). Triton: docs/protocol/extension_binary_data.md,
extension_model_configuration.md, extension_statistics.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from calibration.bodies import Service, complaint_of
from calibration.endpoint_settings import option_problem
from calibration.http_connection import request_bytes, target_of
from calibration.problems import InputError, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from calibration.endpoint_settings import EndpointSettings
    from calibration.http_connection import Answer, Target

    Ask = Callable[[bytes, Target], Awaitable[Answer]]

_NUMPY: Final = {
    **{
        f"{kind}{bits}": f"{word}{bits}"
        for kind, word in (("INT", "int"), ("UINT", "uint"))
        for bits in (8, 16, 32, 64)
    },
    **{"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"},
}
"""NumPy's names of the protocol's datatypes; BYTES has none."""

_BELOW: Final = 100
"""Whole numbers are drawn from 0 to 99: token ids that every vocabulary has."""

_MODEL_PATH: Final = re.compile(r"(?P<base>.*)/v2/models/(?P<name>[^/]+)(?P<version>/versions/[^/]+)?(?:/infer)?/?")

_INPUT: Final = re.compile(r"(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<datatype>[A-Z]+\d*))?")


@dataclass(frozen=True)
class Tensor:
    """An input of the model, without the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]


async def kserve_service(settings: EndpointSettings, ask: Ask) -> Service:
    """Ask the server what the model takes, and make a service of it.

    Raises
    ------
    InputError
        When the server does not know the model, or leaves open what its inputs look like.
    """
    base, model = _model_at(settings)
    model_path = f"{base.path}/v2/models/{model}"

    async def told(path: str, *, needed: bool) -> dict[str, Any]:
        request = request_bytes(base.at(path), None, {"Accept": "application/json", **settings.headers})
        answer = await ask(request, base)
        wrong = complaint_of(answer)
        content = _object(answer.body)
        if needed and (wrong or content is None):
            rule = f"must answer with what it knows of the model at {path}"
            remedy = "Is it a KServe v2 server, and is this the model's name (--model)?"
            raise InputError([option_problem("--url", rule, wrong or "no JSON object", remedy)])
        return {} if wrong or content is None else content

    metadata = await told(model_path, needed=True)
    config = await told(f"{model_path}/config", needed=False)
    server = await told(f"{base.path}/v2", needed=False)
    binary = "binary_tensor_data" in server.get("extensions", ())
    tensors, batched = _tensors(metadata, config, settings)
    target = base.at(f"{model_path}/infer")
    if not batched and settings.batches != (1,):
        rule, remedy = "must be 1: the model's inputs have no batch", "Leave --batch out."
        raise InputError([option_problem("--batch", rule, ",".join(map(str, settings.batches)), remedy)])

    def requests(batch: int) -> tuple[bytes, ...]:
        import numpy as np

        rng = np.random.default_rng((settings.seed, batch))
        drawn = [(each, _draw(each, (batch,) if batched else (), rng)) for each in tensors]
        body, headers = (_binary_body if binary else _json_body)(drawn)
        return (request_bytes(target, body, {**headers, **settings.headers}),)

    keeps_statistics = "statistics" in server.get("extensions", ())
    return Service(
        target=target,
        requests=requests,
        statistics_path=f"{model_path}/stats" if keeps_statistics else None,
        provenance={
            "model": metadata.get("name", model),
            "server": " ".join(str(server[key]) for key in ("name", "version") if server.get(key)) or None,
            "runtime": config.get("backend") or config.get("platform") or metadata.get("platform") or None,
        },
        **_batching(config),
    )


def _model_at(settings: EndpointSettings) -> tuple[Target, str]:
    """The server's own address, and the model's name with its version as they stand in a path."""
    target = target_of(settings.url)
    found = _MODEL_PATH.fullmatch(target.path)
    if found is not None:
        return target.at(found["base"]), found["name"] + (found["version"] or "")
    if not settings.model:
        remedy = "Name the model served, or write .../v2/models/NAME in --url."
        raise InputError([option_problem("--model", "is needed for --body kserve", None, remedy)])
    return target.at(target.path.rstrip("/").removesuffix("/v2")), quote(settings.model, safe="/")


def _batching(config: Mapping[str, Any]) -> dict[str, Any]:
    """How Triton says that it forms batches; nothing where a server says nothing."""
    if not config:
        return {}
    dynamic = config.get("dynamic_batching")
    groups = config.get("instance_group") or [{}]
    found: dict[str, Any] = {"model_instances": max(1, int(groups[0].get("count") or 1))}
    if dynamic is None:
        return found
    preferred = [int(size) for size in dynamic.get("preferred_batch_size") or ()]
    if preferred and preferred != [int(config.get("max_batch_size") or 0)]:
        found["notes"] = {"preferred_batch_sizes": preferred}
    found["max_batch_size"] = int(config.get("max_batch_size") or 0) or None
    found["max_queue_delay_ms"] = int(dynamic.get("max_queue_delay_microseconds") or 0) / 1000
    return found


def _tensors(
    metadata: Mapping[str, Any], config: Mapping[str, Any], settings: EndpointSettings
) -> tuple[list[Tensor], bool]:
    """The inputs without their batch, and whether they have one."""
    described = metadata.get("inputs") or []
    names = [str(each.get("name")) for each in described]
    problems = [
        option_problem("--input", "must name an input of the model", name, f"It has {', '.join(names) or 'none'}.")
        for name in settings.inputs
        if name not in names
    ]
    shapes = [tuple(int(size) for size in each.get("shape") or ()) for each in described]
    sized = int(config.get("max_batch_size") or 0) > 0
    batched = sized or (bool(shapes) and all(shape[:1] == (-1,) for shape in shapes))
    tensors = []
    for name, shape, each in zip(names, shapes, described, strict=True):
        tensor = _tensor(name, str(each.get("datatype")), shape[1:] if batched else shape, settings.inputs.get(name))
        if isinstance(tensor, Problem):
            problems.append(tensor)
        else:
            tensors.append(tensor)
    if problems:
        raise InputError(problems)
    return tensors, batched


def _tensor(name: str, datatype: str, shape: tuple[int, ...], given: str | None) -> Tensor | Problem:
    if given is not None:
        found = _INPUT.fullmatch(given)
        if found is None:
            remedy = "Write the shape without the batch, and its datatype if need be: ids=128:INT64."
            return option_problem("--input", f"must be a shape for {name}", given, remedy)
        sizes = () if found["shape"] == "scalar" else tuple(int(size) for size in found["shape"].split("x"))
        fits = len(sizes) == len(shape) and all(want in (-1, size) for want, size in zip(shape, sizes, strict=True))
        if not fits:
            wanted = "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"
            return option_problem("--input", f"must fit the shape of {name}, {wanted}", given, "Leave out the batch.")
        shape, datatype = sizes, found["datatype"] or datatype
    if any(size < 0 for size in shape):
        wanted = "x".join("?" if size < 0 else str(size) for size in shape)
        remedy = f"Give it: --input {name}={wanted.replace('?', '128')}"
        return option_problem("--input", f"is needed: the model leaves the shape of {name} open", wanted, remedy + ".")
    if datatype not in _NUMPY and datatype != "BYTES":
        remedy = f"Known are {', '.join(_NUMPY)} and BYTES."
        return option_problem("--input", f"cannot be made for {name}: unknown datatype", datatype, remedy)
    return Tensor(name, datatype, shape)


def _draw(tensor: Tensor, batch: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Numbers for an input: normal ones, whole ones from 0 to 99, or ones for what is true or false."""
    import numpy as np

    shape = (*batch, *tensor.shape)
    if tensor.datatype == "BYTES":
        words = [f"word {number}".encode() for number in rng.integers(0, _BELOW, int(np.prod(shape)))]
        return np.array(words, dtype=object).reshape(shape)
    dtype = np.dtype(_NUMPY[tensor.datatype])
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.ones(shape, dtype) if dtype.kind == "b" else rng.integers(0, _BELOW, shape).astype(dtype)


def _json_body(drawn: Sequence[tuple[Tensor, npt.NDArray[Any]]]) -> tuple[bytes, dict[str, str]]:
    def plain(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    inputs = [
        {**_described(tensor, values), "data": [plain(value) for value in values.ravel().tolist()]}
        for tensor, values in drawn
    ]
    return json.dumps({"inputs": inputs}).encode(), {"Content-Type": "application/json", "Accept": "application/json"}


def _binary_body(drawn: Sequence[tuple[Tensor, npt.NDArray[Any]]]) -> tuple[bytes, dict[str, str]]:
    raw = [_raw(values) for _, values in drawn]
    inputs = [
        {**_described(tensor, values), "parameters": {"binary_data_size": len(packed)}}
        for (tensor, values), packed in zip(drawn, raw, strict=True)
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return b"".join((head, *raw)), headers


def _described(tensor: Tensor, values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(values.shape), "datatype": tensor.datatype}


def _raw(values: npt.NDArray[Any]) -> bytes:
    """Little-endian, row by row; BYTES as a length of 4 bytes and the text, for each."""
    if values.dtype == object:
        return b"".join(len(text).to_bytes(4, "little") + text for text in values.ravel().tolist())
    return values.astype(values.dtype.newbyteorder("<")).tobytes()


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None

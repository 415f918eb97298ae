"""Real servers, started on this machine for as long as a test needs them.

Both come from PyPI. ``pip install mosec==0.9.8``; and ``pip install --no-deps nvidia-pytriton==0.7.0``, whose wheel
holds NVIDIA's Triton 2.51 with its Python backend. Of the wheel's own Python nothing is used, so that its dependencies,
NumPy 1 among them, are not needed; with ``--target FOLDER`` it stays out of the environment, and
HEADROOM_PYTRITON=FOLDER says where it is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calibration.endpoint import EndpointSettings

HERE = Path(__file__).resolve().parent

PATIENCE_S = 90.0
"""A server that has not come up by then will not."""


@dataclass(frozen=True)
class LiveServer:
    """A server that answers."""

    name: str
    model: str
    """Which of :mod:`served_models` it serves."""
    max_batch_size: int
    max_queue_delay_ms: int
    settings: EndpointSettings
    """How it is asked; loads and durations are still to be chosen."""


def installed(name: str) -> bool:
    """Whether a server is installed here."""
    return (_triton_wheel() if name == "triton" else importlib.util.find_spec(name)) is not None


def _triton_wheel() -> Path | None:
    """The folder of the wheel that holds Triton."""
    if folder := os.environ.get("HEADROOM_PYTRITON"):
        return Path(folder) / "pytriton" / "tritonserver"
    found = importlib.util.find_spec("pytriton")
    return None if found is None or found.origin is None else Path(found.origin).parent / "tritonserver"


@contextmanager
def serving(
    name: str, model: str, folder: Path, *, max_batch_size: int, max_queue_delay_ms: int
) -> Iterator[LiveServer]:
    """Run a server with this model, and the same server with a model that takes no time, until the test is through."""
    start = {"mosec": _mosec, "triton": _triton}[name]
    with contextlib.ExitStack() as running:
        settings = start(running, (model, "nothing"), folder, max_batch_size, max_queue_delay_ms)
        yield LiveServer(name, model, max_batch_size, max_queue_delay_ms, settings)


def _mosec(
    running: contextlib.ExitStack, models: tuple[str, str], folder: Path, max_batch: int, delay_ms: int
) -> EndpointSettings:
    body = folder / "request.json"
    body.write_text(json.dumps({"ids": [1] * 32}), encoding="utf-8")
    urls = []
    for model in models:
        port = _free_port()
        options = ["--address", "127.0.0.1", "--port", str(port), "--path", str(folder / f"{model}.sock")]
        command = [sys.executable, str(HERE / "mosec_server.py"), *options]
        environment = {"MODEL": model, "MAX_BATCH": str(max_batch), "DELAY_MS": str(delay_ms)}
        server = running.enter_context(_process(command, folder / f"mosec-{model}.log", environment))
        urls.append(f"http://127.0.0.1:{port}/inference")
        server.wait_for(urls[-1], body.read_bytes())
    return EndpointSettings(
        url=urls[0],
        null_url=urls[1],
        body_file=body,
        max_batch_size=max_batch,
        max_queue_delay_ms=float(delay_ms),
        model_instances=1,
    )


def _triton(
    running: contextlib.ExitStack, models: tuple[str, str], folder: Path, max_batch: int, delay_ms: int
) -> EndpointSettings:
    wheel = _triton_wheel()
    assert wheel is not None
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    parts = [*(wheel / "backends" / "python").iterdir(), *(wheel / "python_backend_stubs" / version).iterdir()]
    for part in parts:
        (backend / part.name).symlink_to(part)
    for model in models:
        version_1 = folder / "models" / model / "1"
        version_1.mkdir(parents=True)
        loading = f"import sys\nsys.path.append({str(HERE)!r})\nfrom triton_model import TritonPythonModel\n"
        (version_1 / "model.py").write_text(loading, encoding="utf-8")
        (version_1.parent / "config.pbtxt").write_text(_config(model, max_batch, delay_ms), encoding="utf-8")
    port = _free_port()
    command = [
        str(wheel / "bin" / "tritonserver"),
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        *("--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false"),
        *("--disable-auto-complete-config", "--log-info=false"),
    ]
    libraries = [str(wheel.parents[1] / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    # The backend looks for Python in the PATH, and for nothing in PYTHONPATH.
    interpreters = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "PATH": interpreters}
    server = running.enter_context(_process(command, folder / "triton.log", environment))
    url = f"http://127.0.0.1:{port}/v2/models"
    for model in models:
        server.wait_for(f"{url}/{model}/ready", None)
    return EndpointSettings(url=f"{url}/{models[0]}", null_url=f"{url}/{models[1]}", body="kserve")


def _config(model: str, max_batch: int, delay_ms: int) -> str:
    return f"""
name: "{model}"
backend: "python"
max_batch_size: {max_batch}
input [{{name: "ids" data_type: TYPE_INT64 dims: [32]}}]
output [{{name: "first" data_type: TYPE_FP32 dims: [1]}}]
instance_group [{{kind: KIND_CPU count: 1}}]
dynamic_batching {{ max_queue_delay_microseconds: {delay_ms * 1000} }}
parameters {{ key: "model" value: {{ string_value: "{model}" }} }}
"""


@dataclass(frozen=True)
class _Process:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, url: str, body: bytes | None) -> None:
        """Return when the server answers there."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, data=body, timeout=5.0):
                return
            time.sleep(0.2)
        raise RuntimeError(f"{url} did not come up:\n{self.log.read_text(errors='replace')[-3000:]}")


@contextmanager
def _process(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[_Process]:
    """Run a server in a session of its own, and end all of it."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    env = {**os.environ, **threads, **environment, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, env=env, stdout=output, stderr=output, cwd=log.parent, start_new_session=True
        )
    try:
        with preferred(process.pid):
            yield _Process(process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def preferred(pid: int) -> Iterator[None]:
    """Let the session of this process go before others where the system allows it (Linux's autogroups, as root).

    Whatever else runs on the machine then disturbs less of what is timed.
    """
    group = Path(f"/proc/{pid}/autogroup")
    before = "0"
    with contextlib.suppress(OSError):
        # "/autogroup-25 nice 0"; empty where a process belongs to no group of the kind.
        before = (group.read_text(encoding="ascii").split() or [before])[-1]
        group.write_text("-15", encoding="ascii")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            group.write_text(before, encoding="ascii")


@contextmanager
def at_once() -> Iterator[None]:
    """Let this thread, and what it starts meanwhile, run as soon as it can, where the system allows it.

    Not for a model that computes: the kernel takes a processor from real-time threads that leave nothing of it.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *before)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

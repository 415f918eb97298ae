"""How fast does a served model answer? Measured through HTTP, as its clients see it.

Open loop for latency at a load, closed loop for an idle server (one request at a time) and for a saturated one. What
each module does: settings in :mod:`calibration.endpoint_settings`, requests and answers in :mod:`calibration.bodies`,
:mod:`calibration.kserve` and :mod:`calibration.token_stream`, sending in :mod:`calibration.load_generator`, figures of
one load in :mod:`calibration.load_figures`.
"""

from __future__ import annotations

import dataclasses
import platform
import ssl
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from calibration.bodies import Service, json_service
from calibration.console import Unwatched
from calibration.endpoint_settings import IDLE, EndpointSettings, Load, option_problem
from calibration.http_connection import Target, request_bytes, target_of
from calibration.kserve import kserve_service
from calibration.load_figures import LIMITED, Figures, figures_of
from calibration.load_generator import Generator, Run, runner
from calibration.observation import Observations
from calibration.observation_table import columns_of, rows_of
from calibration.problems import InputError
from calibration.queue_delay import with_measured_delay
from calibration.request_file import add_requests
from calibration.token_stream import openai_service
from calibration.triton_statistics import ModelStatistics, executions_of, read_statistics

if TYPE_CHECKING:
    from calibration.console import Watch
    from calibration.http_connection import Answer

__all__ = ["EndpointSettings", "Load", "Served", "measure_endpoint", "measure_null_model", "measure_server"]

_KIND: Final = "load"
"""Kind of a row in the store."""


class Kept(Protocol):
    """Where rows are kept as soon as they are measured (:class:`calibration.store.Store`)."""

    def keep(self, kind: str, **values: Any) -> None:
        """Add a row."""

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """Rows that an interrupted measurement left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """Everything that a served model tells of itself through HTTP."""

    clients: Observations
    """What clients saw, one row a load."""
    executions: Observations | None
    """The server's own executions by batch size, where it keeps statistics."""
    null_model: Observations | None
    """The same server with a model that takes no time, where there is one to ask."""

    @property
    def measured(self) -> list[Observations]:
        """What a profile is fitted to, beside the null model."""
        return [self.clients] if self.executions is None else [self.executions, self.clients]


def measure_server(settings: EndpointSettings, watch: Watch | None = None, store: Kept | None = None) -> Served:
    """What does a fit need of this service? Its clients' rows, its executions, and the model that takes no time.

    The null model tells how long the server waits for a fuller batch, too; where that is not what it is told to, the
    rows carry the delay measured and a warning says so (:mod:`calibration.queue_delay`).

    Raises
    ------
    InputError
        As :func:`measure_endpoint` does.
    """
    clients = measure_endpoint(settings, watch, store)
    null_model = measure_null_model(settings, watch, store)
    if null_model is not None:
        clients = with_measured_delay(clients, null_model)
    return Served(clients=clients, executions=executions_of(clients), null_model=null_model)


def measure_endpoint(settings: EndpointSettings, watch: Watch | None = None, store: Kept | None = None) -> Observations:
    """How fast does this service answer at these loads?

    Parameters
    ----------
    settings
        Whom to ask what, how often.
    watch
        Is told before each load what it is; nothing is drawn while something is timed.
    store
        Keeps each row as soon as it is measured; rows it has already are not measured again.

    Returns
    -------
    Observations
        One row a load, of scope ``server``. A load at which every request failed has no row but a warning.

    Raises
    ------
    InputError
        When settings are wrong, or not one request was answered: with the server's first complaint.
    """
    settings.check()
    with runner() as loop:
        return loop.run(_measured(settings, watch or Unwatched(), store, _KIND))


def measure_null_model(
    settings: EndpointSettings, watch: Watch | None = None, store: Kept | None = None
) -> Observations | None:
    """How fast is the server with a model that takes no time? What is left over is its own serial front end.

    Measures ``settings.null_url`` idle, with one full batch outstanding, and saturated. A rate at which this program
    was the limit says nothing of the server and is left out. None when no ``null_url`` is given.
    """
    if settings.null_url is None:
        return None
    settings.check()
    own = dataclasses.replace(settings, url=settings.null_url, batches=(1,), keep_requests=None)
    with runner() as loop:
        measured = loop.run(_measured(own, watch or Unwatched(), store, f"null {_KIND}"))
    rows = tuple(row for row in measured.rows if not row.notes.get(LIMITED))
    return dataclasses.replace(measured, rows=rows)


async def _measured(settings: EndpointSettings, watch: Watch, store: Kept | None, kind: str) -> Observations:
    tls = ssl.create_default_context() if settings.url.startswith("https://") else None
    asker = Generator(target_of(settings.url), tls, settings.timeout_s, keep_bodies=True)
    try:
        service = await _service(settings, asker)
        own = _completed(settings, service)
        if kind != _KIND:
            full = () if own.max_batch_size is None else (own.max_batch_size,)
            loads = tuple(sorted({IDLE, *full, own.saturating}))
            own = dataclasses.replace(own, rates_rps=(), concurrencies=loads)
        sweep = _Sweep(own, service, asker, tls, watch, store, kind)
        return await sweep.measure()
    finally:
        await asker.close()


async def _service(settings: EndpointSettings, asker: Generator) -> Service:
    if settings.body == "json":
        return json_service(settings)
    if settings.body == "kserve":

        async def ask(request: bytes, target: Target) -> Answer:  # noqa: ARG001 - all on one server
            return await asker.ask(request)

        return await kserve_service(settings, ask)
    return openai_service(settings)


def _completed(settings: EndpointSettings, service: Service) -> EndpointSettings:
    """The settings with what the server tells of its batching, where the user says nothing else."""
    told = ("max_batch_size", "max_queue_delay_ms", "model_instances")
    missing = {key: getattr(service, key) for key in told if getattr(settings, key) is None}
    return dataclasses.replace(settings, **missing)


class _Sweep:
    """One server, all its loads."""

    def __init__(
        self,
        settings: EndpointSettings,
        service: Service,
        asker: Generator,
        tls: ssl.SSLContext | None,
        watch: Watch,
        store: Kept | None,
        kind: str,
    ) -> None:
        self._settings, self._service, self._asker, self._watch = settings, service, asker, watch
        self._store, self._kind = store, kind
        self._generator = Generator(service.target, tls, settings.timeout_s, keep_bodies=service.streams)

    async def measure(self) -> Observations:
        """Measure every load that the store does not hold."""
        loads = self._settings.loads()
        known = {_key(entry["load"]): entry for entry in (self._store.kept(self._kind) if self._store else ())}
        figures: list[Figures] = []
        try:
            for index, load in enumerate(loads):
                entry = known.get(_key(dataclasses.asdict(load)))
                if entry is not None:
                    figures.append(Figures(rows_of(entry["row"])[0], tuple(entry["warnings"])))
                    continue
                self._watch.done(index / len(loads))
                self._watch.stage(f"{load}, load {index + 1} of {len(loads)}")
                figures.append(await self._at(load))
                if figures[-1].row is not None:
                    self._keep(load, figures[-1])
                elif figures[-1].unreachable:
                    break
            self._watch.done(1.0)
        finally:
            await self._generator.close()
        return self._observations(figures)

    async def _at(self, load: Load) -> Figures:
        requests = self._service.requests(load.batch)
        complaint = await self._warmed_up(load, requests)
        if complaint is not None:
            return complaint
        requests = self._service.requests(load.batch)
        before = await self._statistics()
        run = await self._run(load, requests)
        after = await self._statistics()
        counted = None if before is None or after is None else after.since(before)
        if self._settings.keep_requests is not None:
            add_requests(self._settings.keep_requests, load, run.start_ns, run.exchanges)
        return figures_of(load, run, self._settings, self._service, counted)

    async def _run(self, load: Load, requests: Sequence[bytes]) -> Run:
        settings = self._settings
        if load.concurrency is not None:
            return await self._generator.keep_outstanding(
                load.concurrency, requests, duration_s=settings.duration_s, most=settings.max_requests
            )
        return await self._generator.send_at(due_times_s(load, settings), requests)

    async def _warmed_up(self, load: Load, requests: Sequence[bytes]) -> Figures | None:
        """Send some requests that are in no figure; figures that say why, when none of the first is answered."""
        answer = await self._generator.ask(requests[0])
        if answer.status in (400, 422) and self._service.plainer is not None:
            self._service = self._service.plainer
            requests = self._service.requests(load.batch)
            answer = await self._generator.ask(requests[0])
        complaint = self._service.complaint(answer)
        if complaint:  # once more: the first request to a model may load it
            answer = await self._generator.ask(requests[0])
            complaint = self._service.complaint(answer)
        if complaint:
            return Figures(None, (f"{load}: {complaint}",), unreachable=answer.status == 0)
        if self._settings.warm_up:
            concurrency = min(load.concurrency or 1, self._settings.warm_up)
            await self._generator.keep_outstanding(
                concurrency, requests, duration_s=self._settings.timeout_s, most=self._settings.warm_up
            )
        return None

    async def _statistics(self) -> ModelStatistics | None:
        path = self._service.statistics_path
        if path is None:
            return None
        request = request_bytes(self._service.target.at(path), None, self._settings.headers)
        answer = await self._asker.ask(request)
        return read_statistics(answer.body) if answer.status == 200 else None

    def _keep(self, load: Load, figures: Figures) -> None:
        if self._store is not None and figures.row is not None:
            row = columns_of([figures.row])
            self._store.keep(self._kind, load=dataclasses.asdict(load), row=row, warnings=list(figures.warnings))

    def _observations(self, figures: Sequence[Figures]) -> Observations:
        rows = tuple(each.row for each in figures if each.row is not None)
        warnings = tuple(dict.fromkeys(warning for each in figures for warning in each.warnings))
        if not rows:
            rule = "must answer at least one request"
            said = "; ".join(warnings[:3]) or None
            remedy = "Check that the server is up, and that this is how it is asked (--body, --model, --header)."
            raise InputError([option_problem("--url", f"{rule} ({said})", self._settings.url, remedy)])
        settings = self._settings
        provenance = {
            "source": "measured through HTTP",
            "url": settings.url,
            "date": time.strftime("%Y-%m-%d"),
            "tool": "calibrate measure --url",
            "method": _METHOD,
            "host": platform.node(),
            "seed": settings.seed,
            **({"model": settings.model} if settings.model else {}),
            **{key: value for key, value in self._service.provenance.items() if value is not None},
        }
        return Observations(
            rows=rows, scope="server", provenance=provenance, notes=dict(self._service.notes), warnings=warnings
        )


_METHOD: Final = (
    "open loop: latency from the time a request was due, requests sent whatever the server does;"
    " closed loop: from the answer before"
)


def due_times_s(load: Load, settings: EndpointSettings) -> list[float]:
    """When are the requests of this open loop due, in seconds from its start? The same for the same seed.

    >>> settings = EndpointSettings(url="http://h", arrivals="deterministic", duration_s=1.0)
    >>> due_times_s(Load(1, rate_rps=4.0), settings)
    [0.25, 0.5, 0.75, 1.0]
    """
    import numpy as np

    assert load.rate_rps is not None
    expected = load.rate_rps * settings.duration_s
    count = int(min(settings.max_requests, expected + 10 * (expected**0.5 + 1)))
    if settings.arrivals == "deterministic":
        gaps = np.full(count, 1 / load.rate_rps)
    else:
        rng = np.random.default_rng((settings.seed, round(load.rate_rps * 1e6), load.batch))
        gaps = rng.exponential(1 / load.rate_rps, count)
    due = np.cumsum(gaps)
    times: list[float] = due[due <= settings.duration_s * (1 + 1e-12)].tolist()
    return times or [float(due[0])]


def _key(load: dict[str, Any]) -> tuple[Any, ...]:
    return load["batch"], load["rate_rps"], load["concurrency"]

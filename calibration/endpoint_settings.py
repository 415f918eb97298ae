"""What to send to a served model, how often and for how long: the settings of ``calibrate measure --url``.

A row of the result is one load: a rate (open loop) or a number of outstanding requests (closed loop), with a number of
items in each request.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from calibration.problems import InputError, Problem

Body = Literal["json", "kserve", "openai-completions", "openai-chat"]
"""How requests and answers are written."""

Arrivals = Literal["poisson", "deterministic"]
"""How requests of an open loop are spaced."""

IDLE: Final = 1
SATURATING: Final = 64
"""Outstanding requests when nothing else is said, and the server does not tell the size of its batches."""

BY_TOKENS: Final = (1, 2, 4, 8, 16, 32)
"""Outstanding requests to an LLM when nothing else is said: its steps depend on how many sequences run together."""

BATCHES_AT_SATURATION: Final = 4
"""Full batches of every model instance that are outstanding when the server tells its size: it never waits for us."""


@dataclass(frozen=True)
class Load:
    """What one row measures: this many items a request, at this rate or with this many requests outstanding."""

    batch: int
    """Items in each request."""
    rate_rps: float | None = None
    """Requests sent per second, whatever the server does."""
    concurrency: int | None = None
    """Requests outstanding at any time."""

    def __str__(self) -> str:
        """Say it in words.

        >>> str(Load(4, rate_rps=12.5)), str(Load(1, concurrency=64))
        ('12.5 requests/s of 4 items', '64 requests at a time')
        """
        how = f"{self.rate_rps:g} requests/s" if self.rate_rps is not None else f"{self.concurrency} requests at a time"
        return how if self.batch == 1 else f"{how} of {self.batch} items"


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """How a served model is to be measured. Beside each field: the option of ``calibrate measure`` that feeds it."""

    url: str
    """``--url``: the address that answers; for ``kserve`` the server's, or ``.../v2/models/NAME``."""
    body: Body = "json"
    """``--body``: ``json`` (any service that takes JSON), ``kserve`` (KServe v2, Triton), ``openai-completions``,
    ``openai-chat``."""
    model: str | None = None
    """``--model``: the name the server knows the model by; ``kserve`` and ``openai-*`` need one."""
    rates_rps: tuple[float, ...] = ()
    """``--rate 10,20,50``: open loop, requests per second."""
    concurrencies: tuple[int, ...] = ()
    """``--concurrency 1,64``: closed loop, requests outstanding. Without rates and concurrencies: one at a time (idle),
    then as many as saturate the server; of an LLM from 1 to 32."""
    batches: tuple[int, ...] = (1,)
    """``--batch 1,4``: items in each request; each load is measured with each. A server's batching is measured with
    requests of one item."""
    arrivals: Arrivals = "poisson"
    """``--arrivals``: how the requests of an open loop are spaced."""
    duration_s: float = 10.0
    """``--duration 10s``: requests are sent for this long at each load."""
    max_requests: int = 10_000
    """``--max-requests``: and at most so many at each load."""
    timeout_s: float = 30.0
    """``--timeout 30s``: an answer later than this counts as failed."""
    warm_up: int = 20
    """``--warm-up``: requests sent before each load, in no figure."""
    body_file: Path | None = None
    """``--body-file``: for ``json``, the body of a request; ``{batch}`` in it becomes the number of items, and a list
    ``{"repeat": ITEM}`` becomes so many copies of ITEM."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """``--input NAME=128`` or ``NAME=128x768:FP32``, repeatable: for ``kserve``, an input's shape without the batch
    (and its datatype), where the server leaves a size open."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """``--header 'Name: value'``, repeatable; never written into a profile."""
    prompt_tokens: int = 512
    """``--prompt-tokens``: words in a prompt for ``openai-*``; what the server counts is reported."""
    output_tokens: int = 128
    """``--output-tokens``: tokens asked for by each request of ``openai-*``."""
    null_url: str | None = None
    """``--null-url``: the same server with a model that takes no time, measured apart for the serial front end."""
    max_batch_size: int | None = None
    """``--max-batch-size``: most items the server puts in one batch; Triton tells its own."""
    max_queue_delay_ms: float | None = None
    """``--max-queue-delay 5ms``: how long the server waits for a fuller batch; Triton tells its own."""
    model_instances: int | None = None
    """``--model-instances``: executions at once on the device; Triton tells its own, otherwise 1."""
    seed: int = 0
    """``--seed``: of the arrivals and the inputs."""
    keep_requests: Path | None = None
    """``--keep-requests FILE.csv``: every request, for ``simulate validate``."""

    def loads(self) -> tuple[Load, ...]:
        """Which loads are measured, in which order? Closed loops first: they say how fast the server is at all.

        >>> [str(load) for load in EndpointSettings(url="http://h", rates_rps=(5.0,), concurrencies=(1,)).loads()]
        ['1 requests at a time', '5 requests/s']
        """
        concurrencies = self.concurrencies
        if not concurrencies and not self.rates_rps:
            concurrencies = BY_TOKENS if self.body.startswith("openai") else (IDLE, self.saturating)
        closed = [Load(batch, concurrency=n) for batch in self.batches for n in concurrencies]
        opened = [Load(batch, rate_rps=rate) for batch in self.batches for rate in self.rates_rps]
        return (*closed, *opened)

    @property
    def saturating(self) -> int:
        """How many outstanding requests of one item keep the server's batches full."""
        if self.max_batch_size is None:
            return SATURATING
        return BATCHES_AT_SATURATION * self.max_batch_size * (self.model_instances or 1)

    def check(self) -> None:
        """Refuse settings that cannot be measured.

        Raises
        ------
        InputError
            With every option that is wrong.
        """
        problems = list(self._problems())
        if problems:
            raise InputError(problems)

    def _problems(self) -> Iterator[Problem]:
        for option, url in (("--url", self.url), ("--null-url", self.null_url)):
            if url is not None and not url.startswith(("http://", "https://")):
                yield option_problem(option, "must be an address", url, "Write http://HOST:PORT/PATH.")
        for option, given, known in (
            ("--body", self.body, get_args(Body)),
            ("--arrivals", self.arrivals, get_args(Arrivals)),
        ):
            if given not in known:
                yield option_problem(option, "is not known", given, f"Choose one of {', '.join(known)}.")
        yield from self._number_problems()
        if self.body == "json" and self.body_file is None:
            remedy = "Put the JSON of one request into a file; {batch} in it becomes the number of items."
            yield option_problem("--body-file", "is needed for --body json", None, remedy)
        if self.body != "json" and self.body_file is not None:
            rule, remedy = f"means nothing for --body {self.body}", "Leave it out, or give --body json."
            yield option_problem("--body-file", rule, str(self.body_file), remedy)
        if self.body != "kserve" and self.inputs:
            rule, remedy = f"means nothing for --body {self.body}", "Leave it out, or give --body kserve."
            yield option_problem("--input", rule, ", ".join(self.inputs), remedy)
        if self.body.startswith("openai") and not self.model:
            yield option_problem("--model", f"is needed for --body {self.body}", None, "Name the model served.")
        if self.body.startswith("openai") and self.batches != (1,):
            yield option_problem("--batch", f"must be 1 for --body {self.body}", None, "A request carries one prompt.")

    def _number_problems(self) -> Iterator[Problem]:
        for name, option in _POSITIVE.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                if value is not None and not 0 < value < math.inf:
                    yield option_problem(option, "must be more than 0", f"{value:g}", "Give a positive number.")
        if self.warm_up < 0:
            yield option_problem("--warm-up", "must not be negative", str(self.warm_up), "Give 0 or more.")
        if not self.batches:
            yield option_problem("--batch", "must not be empty", None, "Give the items of a request, for instance 1.")

    def identity(self) -> dict[str, Any]:
        """What a row's figures depend on, as plain values: what an unfinished measurement is known again by.

        Headers are not in it (they hold keys), nor is which loads are wanted: more can be asked for later.
        """
        left_out = {"headers", "keep_requests", "rates_rps", "concurrencies", "batches", "null_url"}
        known = {each.name: _plain(getattr(self, each.name)) for each in fields(self) if each.name not in left_out}
        if self.body_file is not None and self.body_file.is_file():
            known["body_sha256"] = hashlib.sha256(self.body_file.read_bytes()).hexdigest()
        return known


_POSITIVE: Final = {
    "rates_rps": "--rate",
    "concurrencies": "--concurrency",
    "batches": "--batch",
    "duration_s": "--duration",
    "max_requests": "--max-requests",
    "timeout_s": "--timeout",
    "prompt_tokens": "--prompt-tokens",
    "output_tokens": "--output-tokens",
    "max_batch_size": "--max-batch-size",
    "model_instances": "--model-instances",
}


def option_problem(option: str, rule: str, value: str | None, remedy: str) -> Problem:
    """Problem of an option of the command line."""
    return Problem("<command line>", None, None, option, rule, value, remedy)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else dict(value) if isinstance(value, Mapping) else value

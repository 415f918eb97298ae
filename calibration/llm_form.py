"""Forms that step times can have, and the one of a form that fits: non-negative least squares of relative errors.

Every term of :mod:`calibration.llm_steps` is linear in what is sought and can only add time, so one non-negative least
squares problem covers them all; the forms differ in the points at which the curves F and G may bend, and which way.
Errors count by their size relative to the measured time, and large ones (a point that contradicts the others) less
than in proportion, after Huber.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from calibration.llm_evidence import Flags, Floats, StepMeasurements
from calibration.llm_steps import Method

METHODS: Final[tuple[Method, ...]] = ("linear", "roofline", "table")
"""From the simplest form to the most flexible."""

HUBER: Final = 1.345
"""Errors beyond this many standard deviations count less: 95 % efficiency for normal errors (Huber 1981)."""

LEAST_SCATTER: Final = 0.005
"""Relative scatter below which no error counts as large: half a per cent is what repeats differ by."""

ROUNDS: Final = 25
"""Most rounds of reweighting."""

SETTLED: Final = 1e-3
"""Change of the weights at which they have settled."""

TALL: Final = 4
"""Rows for each column from which on a table is shortened first."""

MOST_BENDS: Final = {"linear": 0, "roofline": 8, "table": 24}
"""Most points at which a curve may bend."""

NEAR: Final = 1.1
"""Measured values within this factor of each other make one point."""


@dataclass(frozen=True)
class Form:
    """Where the curves bend, and which terms there are."""

    method: Method
    tokens: tuple[float, ...]
    """Points of F: 0, the bends, the largest measured."""
    running: tuple[float, ...]
    """Points of G."""
    prefill_fixed: bool
    """Whether a step with prompts may cost something at once; needs prompts of several lengths."""
    squared: bool
    """Whether attention of a prompt to itself is told apart."""
    context: bool
    """Whether context costs something of its own; needs several lengths of context."""
    beside_prefill: bool
    """Whether it costs more beside prompts; needs steps that hold both."""
    scheduling: bool
    """Whether a server's steps take longer than the device's; needs both."""
    first_token: bool
    """Whether requests wait beside their step; needs times to the first token."""

    @property
    def terms(self) -> tuple[str, ...]:
        """A name for each column of :meth:`design`."""
        return (
            "fixed_ms",
            "prefill_fixed_ms",
            *(f"tokens:{index}" for index in range(len(self.tokens) - 1)),
            "ms_per_squared_prefill_token",
            *(f"running:{index}" for index in range(len(self.running) - 1)),
            "ms_per_context_token",
            "ms_per_context_token_beside_prefill",
            "scheduling_ms",
            "overhead_ms",
            "queue_ms_per_prompt_token",
        )

    @property
    def allowed(self) -> Flags:
        """Which of the terms there are."""
        switches = {
            "prefill_fixed_ms": self.prefill_fixed,
            "ms_per_squared_prefill_token": self.squared,
            "ms_per_context_token": self.context,
            "ms_per_context_token_beside_prefill": self.beside_prefill,
            "scheduling_ms": self.scheduling,
            "overhead_ms": self.first_token,
            "queue_ms_per_prompt_token": self.first_token,
        }
        return np.array([switches.get(term, True) for term in self.terms], dtype=np.bool_)

    def design(self, rows: StepMeasurements) -> Floats:
        """How much of each term is in each row? Columns as in ``terms``."""
        prefill, decode = rows.prefill_steps[:, None], rows.decode_steps[:, None]
        tokens = self._curve(self.tokens, rows.prefill_tokens + rows.prefill_running)
        ones = np.ones((len(rows), 1))
        nothing = np.zeros((len(rows), 1))
        first = (rows.kind == "ttft")[:, None].astype(np.float64)
        others = np.nan_to_num(np.maximum(rows.concurrency - 1, 0) * rows.prompt_tokens)[:, None]
        pairs = (rows.prefill_tokens * rows.prompt_tokens)[:, None]
        beside, context = rows.prefill_context[:, None], rows.context_tokens[:, None]
        with_prompts = (
            ones, ones, tokens, pairs, self._curve(self.running, rows.prefill_running), beside, beside,
        )  # fmt: skip
        without = (
            ones, nothing, 0 * tokens, nothing, self._curve(self.running, rows.running), context, nothing,
        )  # fmt: skip
        steps = prefill * np.column_stack(with_prompts) + decode * np.column_stack(without)
        server = (prefill + decode) * rows.served[:, None]
        columns: Floats = np.column_stack((steps, server, first, first * others)) * self.allowed
        return columns

    def _curve(self, points: tuple[float, ...], x: Floats) -> Floats:
        """The curve's terms: ramps from point to point of a table, bends upwards of the others."""
        starts, ends = np.array(points[:-1]), np.array(points[1:])
        if self.method != "table":
            bends: Floats = np.maximum(x[:, None] - starts, 0.0)
            return bends
        ramps: Floats = np.clip((x[:, None] - starts) / (ends - starts), 0.0, None)
        ramps[:, :-1] = np.minimum(ramps[:, :-1], 1.0)
        return ramps

    def curve_points(self, points: tuple[float, ...], terms: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """A curve of the fit as points: those where it does not bend left out."""
        at = np.array(points)
        values = self._curve(points, at) @ terms
        slopes = np.diff(values) / np.diff(at)
        bends = np.ones(len(at), dtype=bool)
        bends[1:-1] = np.abs(np.diff(slopes)) > 1e-9 * max(slopes.max(initial=0.0), 1e-300)
        kept = [_rounded(value) for value in at[bends]], [_rounded(value) for value in values[bends]]
        return tuple(kept[0]), tuple(np.maximum.accumulate(kept[1]).tolist())


@dataclass(frozen=True)
class Fitted:
    """A form with the terms that fit."""

    form: Form
    terms: Floats
    """In the order of ``form.terms``; none negative."""
    weights: Floats
    """Share to which each row counted: 1, less for a row far from the fit."""

    def predict(self, rows: StepMeasurements) -> Floats:
        """Times of these rows in ms."""
        times: Floats = self.form.design(rows) @ self.terms
        return times

    def errors(self, rows: StepMeasurements) -> Floats:
        """Relative errors at these rows."""
        relative: Floats = self.predict(rows) / rows.measured_ms - 1
        return relative


def forms_for(rows: StepMeasurements) -> Iterator[Form]:
    """Which forms could these measurements tell apart, from the simplest on?"""
    with_prompts, decoding = rows.prefill_steps > 0, rows.decode_steps > 0
    lengths = prompt_lengths(rows)
    several = len(lengths) > 2
    both = with_prompts & (rows.prefill_context > 0)
    shared = both & ~rows.served
    per_sequence = rows.per_sequence[decoding]
    plain = Form(
        method="linear",
        tokens=_points(rows.prefill_tokens[with_prompts], 0),
        running=_points(_sequences(rows), 0),
        prefill_fixed=len(np.unique(rows.prefill_tokens[with_prompts & (rows.kind != "generate")])) > 2,
        squared=several,
        context=bool(per_sequence.size and per_sequence.max() > NEAR * per_sequence.min()),
        beside_prefill=int(shared.sum()) > 3 or (bool(both.any()) and several),
        scheduling=bool(rows.served.any() and not rows.served.all()),
        first_token=bool((rows.kind == "ttft").any()),
    )
    yield plain
    for method in METHODS[1:]:
        most = MOST_BENDS[method]
        tokens = _points(rows.prefill_tokens[with_prompts], most)
        running = _points(_sequences(rows), most)
        if method == "table":  # what the least work takes is not told apart from what every step takes
            tokens = tokens[1:] if several else tokens
            running = running[1:] if len(running) > 2 else running
        if len(tokens) > 2 or len(running) > 2:
            yield replace(plain, method=method, tokens=tokens, running=running, squared=several and method != "table")


def prompt_lengths(rows: StepMeasurements) -> Floats:
    """Tokens of prompts of which steps were measured, each once.

    In the mean step that clients' time per output token tells, they vary with the load and tell nothing apart.
    """
    told: Floats = np.unique(rows.prefill_tokens[(rows.prefill_steps > 0) & (rows.kind != "tpot")])
    return told


def solve(form: Form, rows: StepMeasurements) -> Fitted:
    """Which terms of this form come nearest to the measurements?"""
    relative = form.design(rows) / rows.measured_ms[:, None]
    weights = np.ones(len(rows))
    terms = np.zeros(relative.shape[1])
    for _ in range(ROUNDS):
        terms = non_negative(relative, np.ones(len(rows)), weights, form.allowed)
        errors = np.abs(relative @ terms - 1)
        scatter = max(1.4826 * float(np.median(errors)), LEAST_SCATTER)
        before, weights = weights, np.minimum(1.0, HUBER * scatter / np.maximum(errors, 1e-12))
        if np.abs(weights - before).max() < SETTLED:
            break
    return Fitted(form, terms, weights)


def non_negative(design: Floats, target: Floats, weights: Floats, allowed: Flags) -> Floats:
    """Least squares without negative terms; what is not ``allowed`` stays 0.

    Columns are scaled to equal length first (they differ by ten powers of ten), and tall tables are shortened to the
    Cholesky factor of their products, which has the same minimum.
    """
    from scipy.optimize import nnls

    root = np.sqrt(weights)
    used = np.flatnonzero(allowed & (design != 0).any(axis=0))
    columns = design[:, used] * root[:, None]
    lengths = np.sqrt((columns**2).sum(axis=0))
    scaled, wanted = columns / lengths, target * root
    if len(scaled) > TALL * len(used):
        factor: Floats = np.linalg.cholesky(scaled.T @ scaled + 1e-12 * np.eye(len(used)))
        scaled, wanted = factor.T, np.asarray(np.linalg.solve(factor, scaled.T @ wanted), dtype=np.float64)
    terms = np.zeros(design.shape[1])
    terms[used] = nnls(scaled, wanted, maxiter=100 * max(len(used), 10))[0] / lengths
    return terms


def _sequences(rows: StepMeasurements) -> Floats:
    """Running sequences of the steps that had some."""
    both = np.concatenate((rows.running[rows.decode_steps > 0], rows.prefill_running[rows.prefill_steps > 0]))
    some: Floats = both[both > 0]
    return some


def _points(values: Floats, most: int) -> tuple[float, ...]:
    """0, up to ``most`` measured values at which a curve may bend, and the largest.

    >>> _points(np.array([128.0, 130.0, 512.0, 4096.0]), 8)
    (0.0, 128.0, 512.0, 4096.0)
    """
    distinct = np.unique(values)
    if not distinct.size:
        return (0.0, 1.0)
    near: list[float] = []
    for value in distinct[:-1]:
        if not near or value > NEAR * near[-1]:
            near.append(float(value))
    while near and distinct[-1] < NEAR * near[-1]:
        near.pop()
    if len(near) > most:
        wanted = np.unique(np.linspace(0, len(near) - 1, most).round().astype(int))
        near = [near[index] for index in wanted]
    return (0.0, *near, float(distinct[-1]))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")

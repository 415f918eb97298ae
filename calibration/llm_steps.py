"""How long does one step of an LLM server take? As a function of the prompts, sequences and context in the step.

An engine with continuous batching does its work in steps. A step computes some tokens of prompts (prefill), one token
of every running sequence (decode), or both. With p tokens of prompts, r running sequences and c tokens of context (all
that the KV cache holds for those r sequences together), a step without prompts takes

    fixed + G(r) + k c

and a step with prompts (p > 0)

    fixed + prefill_fixed + F(p + r) + q p^2 + G(r) + (k + m) c

F and G are straight lines between points, 0 before the first. What each term stands for: ``fixed``, reading the
weights and launching the step; F, multiplying them with every token; q, attention of a prompt to itself (the prompts of
a step counted as one); G, what each sequence costs beside that (sampling, its row of the batch); k, reading the KV
cache; m, what reading it costs on top in a step that also computes prompts, where engines run another kernel.

The terms are fitted by :mod:`calibration.llm_fit`; this module holds the result and answers questions with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from calibration.schema import Entry, Flaw, NotNegative, Number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Numbers = npt.ArrayLike

Method = Literal["linear", "roofline", "table"]
"""``linear``: F and G rise evenly. ``roofline``: they bend upwards (memory-bound, then compute-bound). ``table``: they
pass from one measured value to the next, and never fall."""

ROUNDS: Final = 200
"""Most rounds in which a closed loop is balanced; about twenty are usual."""

SETTLED: Final = 1e-9
"""Relative change at which it is."""

Interval = tuple[NotNegative, NotNegative]
Points = tuple[NotNegative, ...]


class Ranges(Entry):
    """Smallest and largest value of each argument that the fit rests on."""

    prefill_tokens: Interval
    """Tokens of prompts computed in one step."""
    running: Interval
    """Running sequences in a step."""
    context_tokens: Interval
    """Tokens in the KV cache that a step attends to, of all running sequences together."""
    context_per_sequence: Interval
    """Tokens in the KV cache for each running sequence."""

    def flaws(self) -> Iterator[Flaw]:
        """Ranges that end before they begin."""
        for key, (low, high) in self:
            if high < low:
                yield Flaw((key,), f"must end at or after its start ({low:g})", f"{high:g}", "Swap the two.")


class ClosedLoop(Entry):
    """What clients of the measured server waited before the first token, beside the step that made it."""

    overhead_ms: NotNegative = 0.0
    """The same for every request: client, network, tokenisation, the way into the scheduler."""
    queue_ms_per_prompt_token: NotNegative = 0.0
    """For each token in the prompts of all other clients: prompts that arrive together wait for each other."""


class HeldOut(Entry):
    """How well measurements were predicted by a fit that had not seen them."""

    median: NotNegative
    """Median relative error."""
    p90: NotNegative
    """90th percentile of the relative error."""
    lines: Annotated[int, Field(ge=1)]
    """Lines of the grid of measurements (one value of one argument) that were left out, each in turn."""


class StepModel(Entry):
    """Step times of one model on one device in one engine."""

    method: Method
    """How F and G are shaped."""
    fixed_ms: NotNegative
    """Of every step."""
    prefill_fixed_ms: NotNegative = 0.0
    """Of every step that computes prompts, on top."""
    tokens: Points = (0.0, 1.0)
    """Tokens (of prompts, and one for each running sequence) at the points of F, increasing."""
    tokens_ms: Points = (0.0, 0.0)
    """F at these points."""
    ms_per_squared_prefill_token: NotNegative = 0.0
    """q, of p^2."""
    running: Points = (0.0, 1.0)
    """Running sequences at the points of G, increasing."""
    running_ms: Points = (0.0, 0.0)
    """G at these points."""
    ms_per_context_token: NotNegative = 0.0
    """k, of c."""
    ms_per_context_token_beside_prefill: NotNegative = 0.0
    """m, of c in a step that computes prompts, on top of k."""
    scheduling_ms: NotNegative = 0.0
    """What a server adds to every step where the other figures were timed on the device; part of every step here."""
    closed_loop: ClosedLoop | None = None
    """Where servers were measured: what their clients waited beside the steps."""
    valid_range: Ranges
    """What the fit rests on; beyond it everything is extrapolated."""
    ci95: dict[str, Any] = Field(default={})
    """95 % intervals by name of the figure, from the bootstrap."""
    cross_validation: dict[str, HeldOut] = Field(default={})
    """Errors at inner lines of the grid, left out in turn, by method: why ``method`` was chosen."""
    extrapolation: HeldOut | None = None
    """Errors of the chosen method at the outermost lines of the grid, left out in turn."""
    residuals: dict[str, Number] = Field(default={})
    """Relative errors of the fit at its own measurements: ``median``, ``p90``, ``max``."""
    measurements: dict[str, list[Any]] = Field(default={})
    """What it was fitted to (:class:`calibration.llm_evidence.StepMeasurements`), a column each."""
    warnings: tuple[str, ...] = ()
    """What whoever uses it should know."""

    def flaws(self) -> Iterator[Flaw]:
        """Curves that are no curves."""
        for x, y in (("tokens", "tokens_ms"), ("running", "running_ms")):
            at, value = getattr(self, x), getattr(self, y)
            if len(at) != len(value) or not at:
                yield Flaw((y,), f"must be as long as {x} ({len(at)})", f"{len(value)} entries", "Give both in full.")
            for index, (before, after) in enumerate(pairwise(at), start=1):
                if after <= before:
                    yield Flaw(
                        (x, index), f"must be more than the entry before ({before:g})", remedy="Sort the points."
                    )
            for index, (before, after) in enumerate(pairwise(value), start=1):
                if after < before:
                    yield Flaw(
                        (y, index), f"must be at least the entry before ({before:g})", remedy="More work is slower."
                    )

    @property
    def ms_per_prefill_token(self) -> float:
        """What does one more token of a prompt cost in a long prompt, attention aside? The last slope of F."""
        return _last_slope(self.tokens, self.tokens_ms)

    @property
    def ms_per_running(self) -> float:
        """What does one more sequence cost among many, its context aside? The last slope of G."""
        return _last_slope(self.running, self.running_ms)

    def step_ms(
        self,
        prefill_tokens: Numbers,
        running: Numbers,
        context_tokens: Numbers,
        *,
        allow_extrapolation: bool = False,
    ) -> Floats:
        """How long does a step take?

        Parameters
        ----------
        prefill_tokens
            Tokens of prompts that it computes, any shape.
        running
            Sequences of which it computes one token each.
        context_tokens
            Tokens in the KV cache of those sequences together.
        allow_extrapolation
            Whether arguments outside ``valid_range`` may be asked for; :meth:`extrapolated` marks them.

        Returns
        -------
        numpy.ndarray
            Times in ms, in the shape the arguments broadcast to; 0 for a step of nothing.

        Raises
        ------
        ValueError
            For a negative argument, or one outside ``valid_range`` without ``allow_extrapolation``.

        Examples
        --------
        >>> model = StepModel(method="linear", fixed_ms=8, tokens=(0, 1000), tokens_ms=(0, 50), running=(0, 10),
        ...     running_ms=(0, 1), ms_per_context_token=0.0001, valid_range=Ranges(prefill_tokens=(0, 4096),
        ...     running=(0, 64), context_tokens=(0, 65536), context_per_sequence=(0, 8192)))
        >>> model.step_ms([0, 512, 512], [16, 0, 16], [16384, 0, 16384]).round(3).tolist()
        [11.238, 33.6, 37.638]
        """
        import numpy as np

        p, r, c = _arguments(prefill_tokens, running, context_tokens)
        if not allow_extrapolation:
            self._refuse_outside(p, r, c)
        with_prompts = p > 0
        step = self.fixed_ms + self.scheduling_ms + _along(r, self.running, self.running_ms)
        step = step + self.ms_per_context_token * c
        prompts = self.prefill_fixed_ms + _along(p + r, self.tokens, self.tokens_ms)
        prompts = prompts + self.ms_per_squared_prefill_token * p**2 + self.ms_per_context_token_beside_prefill * c
        times: Floats = np.where(with_prompts, step + prompts, np.where(r > 0, step, 0.0))
        return times

    def extrapolated(self, prefill_tokens: Numbers, running: Numbers, context_tokens: Numbers) -> npt.NDArray[np.bool_]:
        """Which of these steps lie outside what the fit rests on?"""
        import numpy as np

        p, r, c = _arguments(prefill_tokens, running, context_tokens)
        outside = np.zeros(p.shape, dtype=bool)
        for values, wanted, (low, high) in self._bounds(p, r, c):
            outside |= wanted & ((values < low) | (values > high))
        return outside

    def _bounds(self, p: Floats, r: Floats, c: Floats) -> Iterator[tuple[Floats, npt.NDArray[np.bool_], Interval]]:
        """Each argument, where it matters, and its range; 2 % beyond an end is rounding, not extrapolation."""
        import numpy as np

        each = c / np.maximum(r, 1e-9)
        ranges = self.valid_range
        for values, wanted, (low, high) in (
            (p, (p > 0) | (r > 0), ranges.prefill_tokens),
            (r, (p > 0) | (r > 0), ranges.running),
            (c, r > 0, ranges.context_tokens),
            (each, r > 0, ranges.context_per_sequence),
        ):
            yield values, wanted, (0.98 * low, 1.02 * high)

    def _refuse_outside(self, p: Floats, r: Floats, c: Floats) -> None:
        names = ("prefill tokens", "running sequences", "context tokens", "context tokens for each sequence")
        ranges = self.valid_range
        wholes = (ranges.prefill_tokens, ranges.running, ranges.context_tokens, ranges.context_per_sequence)
        for name, whole, (values, wanted, (low, high)) in zip(names, wholes, self._bounds(p, r, c), strict=True):
            outside = values[wanted & ((values < low) | (values > high))]
            if outside.size:
                asked = f"{outside.min():g}" if outside.size == 1 else f"{outside.min():g} to {outside.max():g}"
                raise ValueError(f"steps of {whole[0]:g} to {whole[1]:g} {name} were measured, asked for {asked}")

    def first_token_ms(self, prompt_tokens: Numbers, *, allow_extrapolation: bool = False) -> Floats:
        """How long does a prompt take to its first token where nothing else runs?

        The step that computes it, and where a server was measured, what the server adds to each request.

        >>> model = StepModel(method="linear", fixed_ms=8, tokens=(0, 1000), tokens_ms=(0, 50),
        ...     closed_loop=ClosedLoop(overhead_ms=12), valid_range=Ranges(prefill_tokens=(0, 4096),
        ...     running=(0, 64), context_tokens=(0, 65536), context_per_sequence=(0, 8192)))
        >>> model.first_token_ms(1000).tolist()
        70.0
        """
        overhead = self.closed_loop.overhead_ms if self.closed_loop is not None else 0.0
        alone: Floats = overhead + self.step_ms(prompt_tokens, 0, 0, allow_extrapolation=allow_extrapolation)
        return alone

    def token_ms(self, running: Numbers, context_per_sequence: Numbers, *, allow_extrapolation: bool = False) -> Floats:
        """How long does each output token take while this many sequences run and no prompt comes in?

        >>> model = StepModel(method="linear", fixed_ms=8, running=(0, 10), running_ms=(0, 1),
        ...     ms_per_context_token=0.0001, valid_range=Ranges(prefill_tokens=(0, 0),
        ...     running=(1, 64), context_tokens=(0, 65536), context_per_sequence=(0, 8192)))
        >>> model.token_ms([1, 32], 1024).round(4).tolist()
        [8.2024, 14.4768]
        """
        import numpy as np

        r, each = np.asarray(running, dtype=np.float64), np.asarray(context_per_sequence, dtype=np.float64)
        return self.step_ms(0, r, r * each, allow_extrapolation=allow_extrapolation)

    def closed_loop_ms(
        self,
        concurrency: Numbers,
        prompt_tokens: Numbers,
        output_tokens: Numbers,
        *,
        allow_extrapolation: bool = False,
    ) -> tuple[Floats, Floats]:
        """Which mean TTFT and TPOT do clients see, of whom this many always have a request outstanding?

        Parameters
        ----------
        concurrency
            Requests outstanding at any time, any shape.
        prompt_tokens, output_tokens
            Of each request.
        allow_extrapolation
            As in :meth:`step_ms`.

        Returns
        -------
        tuple
            Mean time to the first token, and mean time per output token after it, in ms.

        Notes
        -----
        In balance every step makes one token of every running sequence, so TPOT is the mean step. A request lasts
        TTFT + (output_tokens - 1) TPOT and runs during the last term's share of it; each step finds TPOT x
        concurrency / duration new prompts. TTFT is a step with one prompt beside the running sequences, plus
        ``closed_loop``. Both hold in each other's terms and are found by going round until nothing changes. An engine
        that runs out of KV cache, or splits prompts over several steps, is slower than this.
        """
        import numpy as np

        c, isl, osl = _arguments(concurrency, prompt_tokens, output_tokens)
        loop = self.closed_loop or ClosedLoop()
        ttft = np.full(c.shape, 1.0 + self.fixed_ms)
        tpot = ttft.copy()
        queue = loop.overhead_ms + loop.queue_ms_per_prompt_token * np.maximum(c - 1, 0) * isl
        for _ in range(ROUNDS):
            running, context, share, prompts = in_balance(c, isl, osl, ttft, tpot)
            busy = self.step_ms(prompts, running, context, allow_extrapolation=True)
            quiet = self.step_ms(0, running, context, allow_extrapolation=True)
            next_tpot = share * busy + (1 - share) * quiet
            next_ttft = self.step_ms(isl, running, context, allow_extrapolation=True) + queue
            change = np.maximum(np.abs(next_tpot / tpot - 1), np.abs(next_ttft / ttft - 1))
            tpot, ttft = np.sqrt(tpot * next_tpot), np.sqrt(ttft * next_ttft)
            if change.max(initial=0.0) < SETTLED:
                break
        if not allow_extrapolation:
            self._refuse_outside(np.where(share < 1, isl, prompts), running, context)
        return ttft, tpot


def in_balance(
    concurrency: Floats, prompt_tokens: Floats, output_tokens: Floats, ttft_ms: Floats, tpot_ms: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """What do the steps of a closed loop hold, in which requests see these times?

    Returns
    -------
    tuple
        Running sequences; their context tokens together; the share of steps that compute prompts; tokens of prompts in
        each of those.

    >>> import numpy as np
    >>> one = np.ones(1)
    >>> [float(x[0].round(3)) for x in in_balance(8 * one, 1000 * one, 101 * one, 200 * one, 8 * one)]
    [6.4, 6723.2, 0.064, 1000.0]
    """
    import numpy as np

    decoding_ms = np.maximum(output_tokens - 1, 0) * tpot_ms
    lasts_ms = ttft_ms + decoding_ms
    running = concurrency * decoding_ms / lasts_ms
    prompts_each_step = concurrency * tpot_ms / lasts_ms
    share = np.minimum(prompts_each_step, 1.0)
    context = running * (prompt_tokens + output_tokens / 2)
    return running, context, share, prompt_tokens * np.maximum(prompts_each_step, 1.0)


def _arguments(*values: Numbers) -> tuple[Floats, ...]:
    """Three arguments in one shape."""
    import numpy as np

    arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
    if any(array.size and not array.min() >= 0 for array in arrays):
        raise ValueError("tokens and sequences cannot be negative")
    return tuple(arrays)


def _along(x: Floats, at: Points, values: Points) -> Floats:
    """A curve by straight lines: its first value before it, its last slope after it."""
    import numpy as np

    inside = np.interp(x, np.array(at), np.array(values))
    beyond: Floats = inside + _last_slope(at, values) * np.maximum(x - at[-1], 0.0)
    return beyond


def _last_slope(at: Points, values: Points) -> float:
    return (values[-1] - values[-2]) / (at[-1] - at[-2]) if len(at) > 1 else 0.0

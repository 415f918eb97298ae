"""Which step times do these measurements of an LLM give, and how far are they to be trusted?

Three forms (:mod:`calibration.llm_form`) are compared by leaving out one line of the grid of measurements at a time
(all prompts of 2048 tokens, all runs at concurrency 16) and predicting it from the rest: leaving out single points
would let their twins on the same line give the answer away. A less simple form is taken only where it is clearly
better. Points that contradict others (more work in less time) are left out and named.

How well it does
----------------
Errors at real measurements that the fit had not seen, median and 90th percentile, as ``pytest
tests/calibration/test_llm_measured.py --run-slow -s`` prints them:

=======================================================  ==============  ==============
prompt time, A100 and H100, one prompt size left out      6 %             19 %
token time, one batch size left out                       1.5 %           8 %
steps of prompts and sequences, 24 of them seen           3 to 5 %        14 to 22 %
the same, none of them seen                               8 to 10 %       34 to 49 %
TPOT at a concurrency between those seen, 288 servers     2.6 %           10 %
TTFT there                                                7 %             43 %
TPOT at twice the largest concurrency seen                8 %             30 %
TTFT there                                                19 %            82 %
TPOT for prompts and answers of other lengths             6 %             33 %
TTFT there                                                18 %            83 %
=======================================================  ==============  ==============

TTFT under load depends on how the benchmark started and on KV cache that ran out, neither of which a row tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from calibration.llm_evidence import Evidence, Flags, Floats, StepMeasurements, evidence_of, lines_of
from calibration.llm_form import Fitted, Form, forms_for, non_negative, prompt_lengths, solve
from calibration.llm_steps import ClosedLoop, HeldOut, Ranges, StepModel
from calibration.observation import Observations
from calibration.problems import InputError, Problem

FEWEST: Final = 3
"""Measured times without which nothing is fitted."""

FEW: Final = 6
"""Measured times below which the reader is told that they are few."""

RESAMPLES: Final = 200
"""Resamples of the bootstrap."""

MUCH_FASTER: Final = 1.15
"""A step with no less work that is faster by this factor contradicts the other."""

MOST_LEFT_OUT: Final = 0.1
"""Largest share of the measured times that may be left out as contradicting others."""

CLEARLY_BETTER: Final = 0.95
"""A form must bring the error down to this share of a simpler form's to be taken instead."""

POOR: Final = 0.15
"""Median error at lines left out from which on the reader is told."""

MOST_LINES: Final = 40
"""Most lines that are left out; of more, every second, third, ..."""


def fit_steps(measured: Sequence[Observations], *, seed: int = 0, resamples: int = RESAMPLES) -> StepModel:
    """Which step times do these measurements give?

    Parameters
    ----------
    measured
        Of one model on one device: rows of a device that state their steps, rows of a server with TTFT and TPOT, or
        both (:mod:`calibration.llm_evidence`).
    seed
        Of the bootstrap.
    resamples
        Of the bootstrap; 0 for no intervals.

    Raises
    ------
    InputError
        When fewer than three rows say anything of steps: with the reason for each row.

    Examples
    --------
    >>> from calibration.observation import Observation
    >>> rows = [Observation(batch=b, prompt_tokens=1024, latency_ms={"mean": 8 + 0.1 * b}, notes={"phase": "decode"})
    ...         for b in (1, 8, 16, 32, 64)]
    >>> model = fit_steps([Observations(rows=tuple(rows), scope="device")])
    >>> model.method, float(model.token_ms(24, 1024).round(3))
    ('linear', 10.4)
    """
    evidence = evidence_of(measured)
    _refuse_too_few(evidence)
    rows, contradicted = _without_contradictions(evidence.measurements)
    trials = [_Trial(form, *_held_out_errors(form, rows)) for form in forms_for(rows)]
    chosen = _simplest_of_the_best(trials)
    fitted = solve(chosen.form, rows)
    errors = np.abs(fitted.errors(rows))
    told = {
        "median": float(np.median(errors)),
        "p90": float(np.quantile(errors, 0.9)),
        "max": float(errors.max()),
    }
    return StepModel(
        **_terms(fitted, fitted.terms),
        valid_range=_ranges(rows),
        ci95=_intervals(fitted, rows, chosen, resamples, seed) if resamples else {},
        cross_validation={trial.form.method: summary for trial in trials if (summary := _summary(trial.inside))},
        extrapolation=_summary(chosen.beyond),
        residuals={key: _short(value) for key, value in told.items()},
        measurements=evidence.measurements.columns(),
        warnings=(*evidence.warnings, *contradicted, *_doubts(evidence, rows, chosen, fitted)),
    )


def _refuse_too_few(evidence: Evidence) -> None:
    count = len(evidence.measurements)
    if count >= FEWEST:
        return
    rule = f"hold {count or 'no'} measured step times, of which a fit needs at least {FEWEST}"
    remedy = "Measure prefill and decode at several batch sizes, or a server at several concurrencies."
    raise InputError([*evidence.unused, Problem("measurements", None, None, "", rule, None, remedy)])


# --- points that contradict each other ------------------------------------------------------------------------------


def _without_contradictions(rows: StepMeasurements) -> tuple[StepMeasurements, list[str]]:
    """The rows without those that contradict at least two others and more of them than these do; and what was said."""
    kept = np.ones(len(rows), dtype=bool)
    clash = _contradictions(rows)
    counts = clash.sum(axis=1)
    left_out: list[str] = []
    while counts.any() and len(left_out) < max(1, MOST_LEFT_OUT * len(rows)) and kept.sum() > FEWEST:
        worst = int(counts.argmax())
        if counts[worst] < 2 or counts[clash[worst]].max() >= counts[worst]:
            break
        left_out.append(f"{_worded(rows, worst)} (contradicts {counts[worst]} others)")
        kept[worst] = False
        clash[worst] = clash[:, worst] = False
        counts = clash.sum(axis=1)
    said = []
    if left_out:
        shown = "; ".join(left_out[:3]) + ("; ..." if len(left_out) > 3 else "")
        said.append(f"{_counted(len(left_out), 'measured time')} left out, since others contradict: {shown}")
    pairs = np.argwhere(np.triu(clash))
    if len(pairs):
        one, other = (_worded(rows, int(index)) for index in pairs[0])
        more = f", and {_counted(len(pairs) - 1, 'more pair')}" if len(pairs) > 1 else ""
        said.append(f"more work took less time: {one}, but {other}{more}. Measure them again")
    return rows.take(kept), said


def _contradictions(rows: StepMeasurements) -> Flags:
    """Which pairs of single steps contradict each other?"""
    running, context = rows.prefill_running + rows.running, rows.prefill_context + rows.context_tokens
    each = context / np.maximum(running, 1)
    work = (rows.prefill_tokens, rows.prefill_tokens * rows.prompt_tokens, running, context, each)
    # A step of prompts runs other kernels than one of sequences alone: only steps of one kind are compared.
    comparable = ~rows.served & (rows.kind != "generate")
    slower: Flags = (rows.kind == rows.kind[:, None]) & comparable & comparable[:, None]
    slower &= MUCH_FASTER * rows.measured_ms[:, None] < rows.measured_ms
    for column in work:
        slower &= column[:, None] >= column
    return slower | slower.T


def _worded(rows: StepMeasurements, index: int) -> str:
    prompt, tokens = rows.prompt_tokens[index], rows.prefill_tokens[index]
    running = rows.prefill_running[index] + rows.running[index]
    context = rows.prefill_context[index] + rows.context_tokens[index]
    parts = [f"{tokens / prompt:g} x {prompt:g} prompt tokens"] if rows.prefill_steps[index] else []
    parts += [f"{running:g} x {context / running:g} context tokens"] if running else []
    return f"{rows.measured_ms[index]:.4g} ms for {' and '.join(parts)}"


# --- the choice of a form -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Trial:
    """A form, and how well it predicted lines that it had not seen."""

    form: Form
    inside: tuple[Floats, int]
    """Relative errors at rows that others surround, and how many lines were left out."""
    beyond: tuple[Floats, int]
    """The same at the others."""

    @property
    def score(self) -> float:
        """Mean size of ln(predicted / measured): half and twice the time count alike."""
        errors, _ = self.inside if self.inside[0].size else self.beyond
        return float(np.abs(np.log(np.maximum(1 + errors, 1e-3))).mean()) if errors.size else 0.0


def _held_out_errors(form: Form, rows: StepMeasurements) -> tuple[tuple[Floats, int], tuple[Floats, int]]:
    """Errors of this form at lines left out in turn: at rows inside the rest, and beyond it."""
    inside: list[Floats] = []
    beyond: list[Floats] = []
    lines = list(lines_of(rows))
    for line, surrounded in lines[:: 1 + len(lines) // MOST_LINES]:
        rest = rows.take(~line)
        if len(rest) < FEWEST:
            continue
        like = [other for other in forms_for(rest) if other.method == form.method]
        errors = solve((like or list(forms_for(rest)))[0], rest).errors(rows)
        inside += [errors[surrounded]] if surrounded.any() else []
        beyond += [errors[line & ~surrounded]] if (line & ~surrounded).any() else []
    return _joined(inside), _joined(beyond)


def _joined(parts: list[Floats]) -> tuple[Floats, int]:
    return (np.concatenate(parts) if parts else np.zeros(0)), len(parts)


def _simplest_of_the_best(trials: Sequence[_Trial]) -> _Trial:
    """The first form that no later one clearly beats."""
    chosen = trials[0]
    for trial in trials[1:]:
        if trial.inside[0].size and trial.score < CLEARLY_BETTER * chosen.score:
            chosen = trial
    return chosen


def _summary(errors: tuple[Floats, int]) -> HeldOut | None:
    sizes, lines = np.abs(errors[0]), errors[1]
    if not sizes.size:
        return None
    return HeldOut(median=_short(float(np.median(sizes))), p90=_short(float(np.quantile(sizes, 0.9))), lines=lines)


# --- what is told ---------------------------------------------------------------------------------------------------


def _terms(fitted: Fitted, terms: Floats) -> dict[str, Any]:
    """The fields of a StepModel that these terms of a form make."""
    form = fitted.form
    value = {name: _short(float(term)) for name, term in zip(form.terms, terms, strict=True)}
    of_curve = {
        curve: np.array([term for name, term in zip(form.terms, terms, strict=True) if name.startswith(f"{curve}:")])
        for curve in ("tokens", "running")
    }
    tokens, tokens_ms = form.curve_points(form.tokens, of_curve["tokens"])
    running, running_ms = form.curve_points(form.running, of_curve["running"])
    plain = {name: value[name] for name in value if name.startswith(("fixed", "prefill_fixed", "ms_per", "scheduling"))}
    loop = ClosedLoop(overhead_ms=value["overhead_ms"], queue_ms_per_prompt_token=value["queue_ms_per_prompt_token"])
    return {
        "method": form.method,
        **plain,
        "tokens": tokens,
        "tokens_ms": tokens_ms,
        "running": running,
        "running_ms": running_ms,
        "closed_loop": loop if form.first_token else None,
    }


def _ranges(rows: StepMeasurements) -> Ranges:
    """Least and most of each argument. What was measured without an argument at all reaches down to 0."""
    with_prompts, decoding = rows.prefill_steps > 0, rows.decode_steps > 0
    running = np.concatenate((rows.running[decoding], rows.prefill_running[with_prompts & ~(rows.kind == "generate")]))
    prompts = np.concatenate((rows.prefill_tokens[with_prompts], np.zeros(int(decoding.any()))))
    context = np.concatenate((rows.context_tokens, rows.prefill_context))
    each = rows.per_sequence[decoding & (rows.running > 0)]
    answers = np.nan_to_num(rows.output_tokens[decoding & (rows.running > 0)]) / 2
    beside = rows.prefill_running > 0
    both = np.concatenate((each + answers, rows.prefill_context[beside] / rows.prefill_running[beside]))
    told_apart = both.size > 0 and both.max() > 1.1 * both.min()
    return Ranges(
        prefill_tokens=_range(prompts),
        running=_range(running),
        context_tokens=(0.0, _short(float(context.max(initial=0.0)))),
        context_per_sequence=(0.0 if told_apart else _range(both)[0], _range(both)[1]),
    )


def _range(values: Floats) -> tuple[float, float]:
    return (_short(float(values.min())), _short(float(values.max()))) if values.size else (0.0, 0.0)


def _intervals(fitted: Fitted, rows: StepMeasurements, trial: _Trial, resamples: int, seed: int) -> dict[str, Any]:
    """95 % intervals of every figure: the fit again to its own predictions with scatter as large as was seen.

    The scatter of a row is the larger of its own standard error and of what the fit left over, corrected for the terms
    it used up; where it used up all rows, that of lines held out. Rows are not resampled: without one of them a table
    would lose a point.
    """
    spare = float(fitted.weights.sum()) - int((fitted.terms > 0).sum())
    left_over = float(np.sqrt((fitted.weights * fitted.errors(rows) ** 2).sum() / max(spare, 1.0)))
    if spare < 1:
        sizes = np.abs(trial.inside[0] if trial.inside[0].size else trial.beyond[0])
        left_over = float(np.median(sizes)) if sizes.size else 0.0
    scatter = np.fmax(rows.scatter, left_over)
    if not (scatter > 0).any():
        return {}
    rng = np.random.default_rng(seed)
    design = fitted.form.design(rows) / rows.measured_ms[:, None]
    predicted = design @ fitted.terms
    drawn = [
        _terms(fitted, non_negative(design, predicted * factor, fitted.weights, fitted.form.allowed))
        for factor in 1 + scatter * np.clip(rng.standard_normal((resamples, len(rows))), -3, 3)
    ]
    return dict(_between(drawn, _terms(fitted, fitted.terms), fitted.form))


def _between(drawn: Sequence[Mapping[str, Any]], model: Mapping[str, Any], form: Form) -> Iterator[tuple[str, Any]]:
    for name, value in model.items():
        if isinstance(value, float) and (name == "fixed_ms" or value > 0):
            yield name, _interval([draw[name] for draw in drawn])
        if name in ("tokens_ms", "running_ms"):
            at = model[name.removesuffix("_ms")]
            curves = [np.interp(at, draw[name.removesuffix("_ms")], draw[name]) for draw in drawn]
            yield name, [_interval(values) for values in np.array(curves).T]
    if form.first_token:
        for name in ("overhead_ms", "queue_ms_per_prompt_token"):
            yield name, _interval([getattr(draw["closed_loop"], name) for draw in drawn])


def _interval(values: Sequence[float] | Floats) -> list[float]:
    return [_short(float(edge)) for edge in np.quantile(values, (0.025, 0.975))]


def _doubts(evidence: Evidence, rows: StepMeasurements, trial: _Trial, fitted: Fitted) -> Iterator[str]:
    """What whoever uses the fit should know."""
    if evidence.unused:
        first = evidence.unused[0]
        yield f"{_counted(len(evidence.unused), 'row')} could not be used; the first {first.rule}"
    if len(rows) < FEW:
        yield f"the fit rests on {len(rows)} measured times: few. Measure more settings"
    if rows.served.all():
        yield "steps were never timed: the model follows from what clients of a server saw"
    with_prompts, decoding = rows.prefill_steps > 0, rows.decode_steps > 0
    if not with_prompts.any() or not decoding.any():
        missing, kind = ("sequences", "decode") if with_prompts.any() else ("prompts", "prefill")
        yield f"no step with {missing} was measured: what they cost is unknown. Measure {kind} too"
    elif not (with_prompts & (rows.prefill_context > 0)).any():
        yield (
            "no step held prompts and running sequences at once: their times are added up, which is too fast where the "
            "engine reads the KV cache more slowly beside prompts"
        )
    if decoding.any() and not fitted.form.context:
        yield "context was never varied: its cost is part of the sequences', and holds for that length alone"
    if with_prompts.any() and len(prompt_lengths(rows)) < 3:
        yield "prompts were of one or two lengths: what a token of a prompt costs is little more than a guess"
    summary = _summary(trial.inside)
    if summary is None:
        yield "no measurements lie between others, so that none could be left out to check the fit"
    elif summary.median > POOR:
        yield f"measurements left out were missed by {summary.median:.0%} (median): treat its answers as rough"
    far = int((np.abs(np.log(np.maximum(fitted.predict(rows), 1e-9) / rows.measured_ms)) > np.log(1.5)).sum())
    if far:
        yield f"{far} of {len(rows)} measured times differ from the fit by more than half"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _short(value: float) -> float:
    """Six digits: more would be noise in a file that people read."""
    return float(f"{value:.6g}")

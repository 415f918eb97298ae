"""Several variants of a model measured one after another, each into a profile of its own.

What was measured is on disk at any moment: round by round in the store beside the profile, and as a profile as soon
as a variant is through. The stores are taken away when everything has been measured; until then the same command goes
on where it stopped, and measures only what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from calibration.backends.protocol import Variant
from calibration.cold_start import ColdStartError, measure_cold_start
from calibration.host import fingerprint, host_provenance, usable_cores
from calibration.measure import Settings, missing
from calibration.measured_rows import failure_sentence
from calibration.measuring_process import PATIENCE_S, OpenSession, RefusedError, Task, load_backend, measure_variant
from calibration.observation import Observations
from calibration.problems import InputError, Problem
from calibration.source import COMMAND_LINE
from calibration.store import opened, partial_path, read_kept

if TYPE_CHECKING:
    from calibration.console import Messages, Watch
    from calibration.profile_file import ProfileFile

COLD_STARTS: Final = 3
"""Processes started to measure a cold start."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is to be measured, and how."""

    variants: Sequence[tuple[Variant, Path]]
    """Each with the file of its profile."""
    batches: tuple[int, ...]
    """Batch sizes, increasing."""
    settings: Settings
    """How long and how often."""
    cold_starts: int = COLD_STARTS
    """Fresh processes to measure cold starts with; 0: none."""
    operators: bool = False
    """Whether to tell where the time of an execution goes, by operator."""
    fresh: bool = False
    """Whether to forget what an interrupted sweep has measured."""
    patience_s: float = PATIENCE_S
    """Seconds without a sign of life after which a model hangs."""
    name: str = ""
    """Label of the profiles."""
    with_host: bool = True
    """Whether to tell this machine's name."""
    command: str = ""
    """The command line, for the provenance."""
    open_session: OpenSession = field(default=load_backend)
    """How a model is loaded."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One variant, measured."""

    variant: Variant
    path: Path
    """Where its profile was written."""
    observations: Observations
    profile: ProfileFile
    operators: Path | None = None
    """Where the time of an execution goes, by operator; the Chrome trace lies beside it."""
    operator_lines: tuple[str, ...] = ()
    """The same for people."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a campaign."""

    measured: tuple[Measured, ...]
    """Variants of which a profile was written."""
    problems: tuple[Problem, ...]
    """What could not be measured, and why."""


def run_campaign(campaign: Campaign, messages: Messages) -> Outcome:
    """Measure every variant, and write a profile for each of which anything could be measured.

    What stops it (Ctrl-C) leaves the stores behind, and says so.
    """
    measured: list[Measured] = []
    problems: list[Problem] = []
    begun: list[Path] = []
    several = len(campaign.variants) > 1
    try:
        for number, (variant, path) in enumerate(campaign.variants):
            with messages.progress("measuring") as watch:
                prefix = f"{variant.runtime} {variant.precision}: " if several else ""
                mine = _Shifted(watch, prefix, number / len(campaign.variants), 1 / len(campaign.variants))
                try:
                    task = _task(campaign, variant, path)
                    _begin(task, messages, fresh=campaign.fresh)
                    begun.append(task.partial)
                    one, failed = _measure_one(campaign, task, path, mine, messages)
                except RefusedError as error:
                    problems.append(_refusal(variant, str(error), several=several))
                    continue
                except InputError as error:
                    problems += error.problems
                    continue
            problems += [_failure(variant, record, several=several) for record in failed]
            if one is not None:
                measured.append(one)
                messages.say(f"wrote {path}")
        if not problems:
            for partial in begun:
                partial.unlink(missing_ok=True)
    finally:
        _say_what_is_kept(begun, messages)
    return Outcome(measured=tuple(measured), problems=tuple(dict.fromkeys(problems)))


def _say_what_is_kept(begun: Sequence[Path], messages: Messages) -> None:
    """Tell where an unfinished sweep goes on; a store that has nothing in it is taken away."""
    kept = []
    for partial in begun:
        if _holds_rounds(partial):
            kept.append(str(partial))
        else:
            partial.unlink(missing_ok=True)
    if kept:
        messages.say(f"what was measured is kept in {', '.join(kept)}: the same command goes on from there")


def _holds_rounds(partial: Path) -> bool:
    kept = read_kept(partial)
    return kept is not None and bool(kept.kept("round"))


def _task(campaign: Campaign, variant: Variant, path: Path) -> Task:
    return Task(
        variant=variant,
        batches=campaign.batches,
        settings=campaign.settings,
        partial=partial_path(path),
        identity=identity(campaign.settings, variant),
        cores=usable_cores(),
        patience_s=campaign.patience_s,
        operators=path.with_suffix(".ops.json") if campaign.operators else None,
        open_session=campaign.open_session,
    )


def _measure_one(
    campaign: Campaign, task: Task, path: Path, watch: Watch, messages: Messages
) -> tuple[Measured | None, list[dict[str, Any]]]:
    """A variant, and which of its batch sizes failed."""
    observations = measure_variant(task, watch)
    failed = list(observations.notes.get("failures", ()))
    if not observations.rows:
        return None, failed
    observations = _completed(observations, campaign, task, watch, messages)
    kept = read_kept(task.partial)
    told = [] if kept is None else [record for record in kept.kept("operators") if "lines" in record]
    one = Measured(
        variant=task.variant,
        path=path,
        observations=observations,
        profile=_written(observations, campaign, path),
        operators=task.operators if told else None,
        operator_lines=tuple(told[-1]["lines"]) if told and task.operators is not None else (),
    )
    return one, failed


def identity(settings: Settings, variant: Variant) -> dict[str, Any]:
    """What must be the same for a sweep to go on: the variant, the settings, the machine and its frameworks."""
    asked = {each.name: getattr(variant, each.name) for each in fields(variant)}
    return {**{key: value for key, value in asked.items() if value is not None}, **asdict(settings), **fingerprint()}


def _begin(task: Task, messages: Messages, *, fresh: bool) -> None:
    """Open the store once, so that a wrong one or a folder that cannot be written is told before anything runs."""
    with opened(task.partial, task.identity, fresh=fresh) as store:
        done = {record["batch"] for record in store.kept("round")}
        unasked = sorted(done - set(task.batches))
        if unasked:
            listed = ", ".join(map(str, unasked))
            rule = f"leaves out what the unfinished sweep in {store.name} has measured: {listed}"
            remedy = "Name these too, write to another file (-o), or begin anew with --fresh."
            raise InputError([Problem(COMMAND_LINE, None, None, "--batch", rule, None, remedy)])
        if done:
            left = len(missing(store, task.batches, task.settings))
            total = len(task.batches) * task.settings.repeats
            messages.say(
                f"going on with {store.name}: {total - left} of {total} rounds are measured (--fresh forgets them)"
            )


def _completed(
    observations: Observations, campaign: Campaign, task: Task, watch: Watch, messages: Messages
) -> Observations:
    """The observations with where they come from, a sample of the outputs, and the cold start."""
    notes = dict(observations.notes)
    kept = read_kept(task.partial)
    samples = [] if kept is None else [record["sample"] for record in kept.kept("outputs") if "sample" in record]
    if samples:
        notes["outputs"] = samples[-1]
    cold_start = _cold_start(campaign, task, watch, messages)
    if cold_start is not None:
        notes["cold_start"] = cold_start
    said = {failure_sentence(record) for record in notes.get("failures", ())}
    return replace(
        observations,
        notes=notes,
        provenance=provenance_of(campaign, task.variant, observations.provenance),
        warnings=tuple(warning for warning in observations.warnings if warning not in said),
    )


def provenance_of(campaign: Campaign, variant: Variant, told: Mapping[str, Any]) -> dict[str, Any]:
    """Where do these figures come from? What the session tells wins over what the host does."""
    settings = campaign.settings
    host = host_provenance(name=campaign.with_host)
    method = (
        f"{settings.repeats} rounds, all batch sizes in turns; for each at least {settings.min_time_s:g} s and "
        f"{settings.min_executions} executions, after a warm-up until steady; inputs and outputs on the device, copies "
        "and host work apart"
    )
    own = {
        "source": "measured",
        "model": variant.model,
        "device": variant.device,
        "precision": variant.precision,
        "runtime": variant.runtime,
        "seed": variant.seed,
        "method": method,
        "command": campaign.command or None,
        "variant": {key: value for key, value in asdict(variant).items() if value is not None},
    }
    return {key: value for key, value in {**host, **own, **told}.items() if value is not None}


def _cold_start(campaign: Campaign, task: Task, watch: Watch, messages: Messages) -> dict[str, Any] | None:
    """Measured once and kept; a failure is told and costs nothing else."""
    if not campaign.cold_starts:
        return None
    with opened(task.partial, task.identity) as store:
        kept = store.kept("cold_start")
        if kept:
            found: dict[str, Any] = kept[-1]["seconds"]
            return found
        try:
            seconds = measure_cold_start(
                task.variant,
                min(task.batches),
                repeats=campaign.cold_starts,
                max_warm_up_s=campaign.settings.max_warm_up_s,
                patience_s=campaign.patience_s,
                watch=watch,
            )
        except ColdStartError as error:
            messages.say(f"the cold start was not measured: {error}")
            return None
        store.keep("cold_start", seconds=seconds)
        return seconds


def _written(observations: Observations, campaign: Campaign, path: Path) -> ProfileFile:
    from calibration.fit import fit_profile
    from calibration.profile_writer import write_profile

    profile = fit_profile([observations], name=campaign.name or path.stem, seed=0)
    write_profile(profile, path)
    return profile


def _refusal(variant: Variant, words: str, *, several: bool) -> Problem:
    return Problem(COMMAND_LINE, None, None, _place(variant, several=several), words.rstrip("."), None, "")


def _failure(variant: Variant, record: Mapping[str, Any], *, several: bool) -> Problem:
    rule = failure_sentence(record).partition(": ")[2].rstrip(".")
    fits = "Smaller batch sizes are in the profile; leave the others out, or make room and repeat the command."
    other = "The same command tries again, and measures only what is missing."
    remedy = fits if record["reason"] == "out of memory" else other
    place = f"{_place(variant, several=True)}, batch {record['batch']}" if several else f"--batch {record['batch']}"
    return Problem(COMMAND_LINE, None, None, place, rule, None, remedy)


def _place(variant: Variant, *, several: bool) -> str:
    named = f"{variant.model}, {variant.runtime}, {variant.precision}"
    return named if several else f"{variant.model} on {variant.device}"


class _Shifted:
    """One variant's share of the progress of all."""

    def __init__(self, watch: Watch, prefix: str, begin: float, width: float) -> None:
        self._watch = watch
        self._prefix = prefix
        self._begin = begin
        self._width = width

    def stage(self, words: str) -> None:
        self._watch.stage(self._prefix + words)

    def done(self, share: float) -> None:
        self._watch.done(self._begin + share * self._width)

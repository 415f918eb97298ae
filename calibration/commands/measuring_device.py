"""``calibrate measure`` on a device of this machine."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.command_line import print_result, print_with, refuse
from calibration.commands.measure_options import BATCHES
from calibration.commands.option_text import pairs, seconds, whole_number

if TYPE_CHECKING:
    from calibration.campaign import Campaign, Outcome
    from calibration.measure import Settings
    from calibration.observation import Observations
    from calibration.profile_file import ProfileFile


def measure_device(given: dict[str, Any]) -> None:
    """Measure every variant asked for; ``given`` holds the options by name."""
    from calibration.campaign import run_campaign
    from calibration.console import Messages
    from calibration.measured_page import measured_lines
    from calibration.problems import InputError

    outcome = run_campaign(campaign_of(given), Messages(quiet=given["quiet"]))
    if given["as_json"]:
        print_result(json.dumps(_outcome_object(outcome), indent=2, ensure_ascii=False) + "\n")
    else:
        for one in outcome.measured:
            print_lines([*measured_lines(one.observations, one.profile), *one.operator_lines, ""])
    if outcome.problems:
        raise InputError(outcome.problems)


def campaign_of(given: dict[str, Any]) -> Campaign:
    """What do these options ask to be measured?"""
    from calibration.backends import RUNTIMES
    from calibration.campaign import COLD_STARTS, Campaign
    from calibration.variants import (
        PRECISIONS,
        batches_in,
        default_runtime,
        make_folders,
        outputs_of,
        variants_of,
        words_in,
    )

    model, runtime, device = given["model"], given["runtime"], given["device"] or "cpu"
    if model is None:
        refuse("--model", "is needed", None, "Name a model, for instance --model bert-base; or measure a --url.")
    sizes = pairs(given["size"], "--size", "NAME=N")
    variants = variants_of(
        model,
        device,
        [default_runtime(model, device)] if runtime is None else words_in("--runtime", runtime, RUNTIMES),
        words_in("--precision", given["precision"] or "fp32", PRECISIONS),
        sizes={key: whole_number(f"--size {key}", value) for key, value in sizes.items()},
        inputs=pairs(given["inputs"], "--input", "NAME=SHAPE:TYPE"),
        threads=given["threads"],
        seed=given["seed"],
    )
    batches = batches_in(given["batch"] or BATCHES)
    paths = outputs_of(given["output"], variants)
    settings, patience_s = settings_of(given), seconds("--time-limit", given["time_limit"])
    make_folders(paths)
    starts = 1 if given["quick"] else COLD_STARTS
    return Campaign(
        variants=tuple(zip(variants, paths, strict=True)),
        batches=batches,
        settings=settings,
        cold_starts=starts if given["cold_start"] else 0,
        operators=given["profile_ops"],
        fresh=given["fresh"],
        patience_s=patience_s,
        name=given["name"],
        with_host=not given["no_host"],
        command=shlex.join(["calibrate", *sys.argv[1:]]),
    )


def settings_of(given: dict[str, Any]) -> Settings:
    """How long and how often do these options ask to measure?"""
    from dataclasses import replace

    from calibration.measure import QUICK, Settings

    settings = QUICK if given["quick"] else Settings()
    if given["repeats"] is not None:
        settings = replace(settings, repeats=given["repeats"])
    if given["min_time"] is not None:
        settings = replace(settings, min_time_s=seconds("--min-time", given["min_time"]))
    if given["max_warm_up"] is not None:
        settings = replace(settings, max_warm_up_s=seconds("--max-warm-up", given["max_warm_up"]))
    return settings


def profile_object(path: Path, observations: Observations, profile: ProfileFile) -> dict[str, Any]:
    """What was measured into this profile, for ``--json``."""
    from calibration.observation_table import columns_of

    model = profile.service_model
    warnings = [*observations.warnings, *(() if model is None else model.warnings)]
    return {
        "file": str(path),
        "measured": columns_of(observations.rows),
        "cold_start": profile.cold_start,
        "warnings": list(dict.fromkeys(warnings)),
    }


def print_lines(lines: Sequence[str]) -> None:
    """Write a page to stdout."""
    from calibration.page import print_page

    print_with(lambda: print_page(lines, sys.stdout))


def _outcome_object(outcome: Outcome) -> dict[str, Any]:
    profiles = []
    for one in outcome.measured:
        variant = {key: value for key, value in vars(one.variant).items() if value is not None}
        found = {"variant": variant, **profile_object(one.path, one.observations, one.profile)}
        if one.operators is not None:
            found["operators"] = json.loads(one.operators.read_text(encoding="utf-8"))
        profiles.append(found)
    return {"schema_version": 1, "profiles": profiles, "problems": [str(problem) for problem in outcome.problems]}

"""``calibrate measure --url``: a served model as its clients see it."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from calibration.command_line import print_result
from calibration.commands.measuring_device import print_lines, profile_object
from calibration.commands.option_text import headers, numbers, pairs, seconds

if TYPE_CHECKING:
    from calibration.endpoint_settings import EndpointSettings
    from calibration.observation import Observations
    from calibration.profile_file import ProfileFile
    from calibration.store import Store


def measure_url(given: dict[str, Any]) -> None:
    """Measure what answers at an address; ``given`` holds the options by name."""
    from calibration.console import Messages
    from calibration.measured_page import served_lines
    from calibration.profile_writer import write_profile
    from calibration.store import opened, partial_path
    from calibration.variants import make_folders, served_output

    messages = Messages(quiet=given["quiet"])
    settings = settings_of(given)
    settings.check()
    path = served_output(given["output"], settings.model, settings.url)
    make_folders([path])
    partial = partial_path(path)
    with opened(partial, settings.identity(), fresh=given["fresh"]) as store:
        try:
            with messages.progress("measuring") as watch:
                observations, profile = _measured(settings, given, watch, store, given["name"] or path.stem)
            write_profile(profile, path)
        except BaseException:
            messages.say(f"what was measured is kept in {partial}: the same command goes on from there")
            raise
    partial.unlink(missing_ok=True)
    messages.say(f"wrote {path}")
    if given["as_json"]:
        found = {"schema_version": 1, "profiles": [profile_object(path, observations, profile)], "problems": []}
        print_result(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        print_lines(served_lines(observations, profile))


def settings_of(given: dict[str, Any]) -> EndpointSettings:
    """What do these options ask to be sent?"""
    from calibration.endpoint_settings import EndpointSettings
    from calibration.variants import batches_in

    as_they_are = (
        *("url", "body", "model", "arrivals", "max_requests", "warm_up", "body_file", "prompt_tokens"),
        *("output_tokens", "null_url", "max_batch_size", "model_instances", "seed", "keep_requests"),
    )
    delay = given["max_queue_delay"]
    return EndpointSettings(
        **{key: given[key] for key in as_they_are},
        rates_rps=numbers("--rate", given["rate"]),
        concurrencies=() if given["concurrency"] is None else batches_in(given["concurrency"], "--concurrency"),
        batches=batches_in(given["batch"] or "1"),
        duration_s=seconds("--duration", given["duration"]),
        timeout_s=seconds("--timeout", given["timeout"]),
        inputs=pairs(given["inputs"], "--input", "NAME=128 or NAME=128x768:FP32"),
        headers=headers(given["header"]),
        max_queue_delay_ms=None if delay is None else 1e3 * seconds("--max-queue-delay", delay, zero=True),
    )


def _measured(
    settings: EndpointSettings, given: dict[str, Any], watch: Any, store: Store, name: str
) -> tuple[Observations, ProfileFile]:
    from calibration.endpoint import measure_server
    from calibration.fit import fit_profile
    from calibration.host import commit

    served = measure_server(settings, watch, store)
    said = {"command": _command(given["header"]), "commit": commit()}

    def told(one: Observations) -> Observations:
        provenance = {key: value for key, value in one.provenance.items() if key != "host" or not given["no_host"]}
        return replace(one, provenance={key: value for key, value in (provenance | said).items() if value is not None})

    profile = fit_profile(
        [told(one) for one in served.measured], name=name, null_model=served.null_model, seed=settings.seed
    )
    return told(served.clients), profile


def _command(secret: list[str] | None) -> str:
    """The command line without what stands in headers."""
    hidden = set(secret or ())
    words = ["..." if word in hidden else word for word in sys.argv[1:]]
    words = [word if not word.startswith("--header=") else "--header=..." for word in words]
    return shlex.join(["calibrate", *words])

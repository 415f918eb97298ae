"""``calibrate measure``: a model on a device, or a served model through HTTP."""

from __future__ import annotations

from typing import Any, Final

from calibration.command_line import refuse
from calibration.commands import measure_options as opt


def measure(
    model: opt.Model = None,
    device: opt.Device = None,
    batch: opt.Batch = None,
    precision: opt.Precision = None,
    runtime: opt.Runtime = None,
    output: opt.Output = None,
    size: opt.Size = None,
    inputs: opt.Input = None,
    threads: opt.Threads = None,
    name: opt.Name = "",
    quick: opt.Quick = False,
    repeats: opt.Repeats = None,
    min_time: opt.MinTime = None,
    max_warm_up: opt.MaxWarmUp = None,
    time_limit: opt.TimeLimit = opt.TIME_LIMIT,
    seed: opt.Seed = 0,
    cold_start: opt.ColdStart = True,
    profile_ops: opt.ProfileOps = False,
    fresh: opt.Fresh = False,
    no_host: opt.NoHost = False,
    url: opt.Url = None,
    body: opt.Body = "json",
    body_file: opt.BodyFile = None,
    header: opt.Header = None,
    rate: opt.Rate = None,
    concurrency: opt.Concurrency = None,
    arrivals: opt.Arrivals = "poisson",
    duration: opt.Duration = "10s",
    max_requests: opt.MaxRequests = 10_000,
    timeout: opt.Timeout = "30s",
    warm_up: opt.WarmUp = 20,
    prompt_tokens: opt.PromptTokens = 512,
    output_tokens: opt.OutputTokens = 128,
    null_url: opt.NullUrl = None,
    max_batch_size: opt.MaxBatchSize = None,
    max_queue_delay: opt.MaxQueueDelay = None,
    model_instances: opt.ModelInstances = None,
    keep_requests: opt.KeepRequests = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Measure how long a model takes for each batch size, and write a profile that scenarios can name.

    A sweep that is interrupted keeps what it measured beside the profile, and the same command goes on from there.
    With --url a served model is measured as it stands, by the latencies of its clients.
    """
    common = {"model": model, "batch": batch, "output": output, "inputs": inputs, "name": name, "seed": seed}
    common |= {"fresh": fresh, "no_host": no_host, "as_json": as_json, "quiet": quiet}
    on_device = {
        **{"device": device, "precision": precision, "runtime": runtime, "size": size, "threads": threads},
        **{"quick": quick, "repeats": repeats, "min_time": min_time, "max_warm_up": max_warm_up},
        **{"time_limit": time_limit, "cold_start": cold_start, "profile_ops": profile_ops},
    }
    through_http = {
        **{"body": body, "body_file": body_file, "header": header, "rate": rate, "concurrency": concurrency},
        **{"arrivals": arrivals, "duration": duration, "max_requests": max_requests, "timeout": timeout},
        **{"warm_up": warm_up, "prompt_tokens": prompt_tokens, "output_tokens": output_tokens, "null_url": null_url},
        **{"max_batch_size": max_batch_size, "max_queue_delay": max_queue_delay},
        **{"model_instances": model_instances, "keep_requests": keep_requests},
    }
    if url is None:
        _refuse_given(through_http, "means nothing without --url", "Give --url, or leave it out.")
        from calibration.commands.measuring_device import measure_device

        measure_device({**common, **on_device})
    else:
        _refuse_given(on_device, "means nothing with --url", "Leave it out: the server decides.")
        from calibration.commands.measuring_url import measure_url

        measure_url({**common, **through_http, "url": url})


_UNTOUCHED: Final[dict[str, Any]] = {
    **{"time_limit": opt.TIME_LIMIT, "cold_start": True, "body": "json", "arrivals": "poisson", "duration": "10s"},
    **{"max_requests": 10_000, "timeout": "30s", "warm_up": 20, "prompt_tokens": 512, "output_tokens": 128},
}
"""Options that have a value when nobody gives them; all others are None or False then."""


def _refuse_given(options: dict[str, Any], rule: str, remedy: str) -> None:
    for option, value in options.items():
        if value != _UNTOUCHED.get(option, value if value in (None, False) else None):
            refuse(f"--{option.replace('_', '-')}", rule, None, remedy)

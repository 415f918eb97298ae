"""``calibrate import``: read what another tool measured, and write a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from calibration.command_line import print_result, refuse

if TYPE_CHECKING:
    from calibration.observation import Observations
    from calibration.profile_file import ProfileFile

FORMAT_HELP: Final = (
    "perf-analyzer, model-analyzer, aiperf (genai-perf), vllm-bench, guidellm, optimum-benchmark, inference-perf, "
    "locust, mlperf or prometheus."
)

_SETTING: Final = "What was measured"
_SERVER: Final = "How it was served"
_SOURCE: Final = "Where the figures come from"


def import_measurements(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help=FORMAT_HELP)],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Its files: one measurement of one model on one device.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The profile to write.")],
    batch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Items in a request, where the file does not say; once for each FILE, in their order.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", "--gpu", help="What it ran on, for instance A100-80GB.", rich_help_panel=_SETTING),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model; chooses one where a file holds several.", rich_help_panel=_SETTING),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16, int8 ...", rich_help_panel=_SETTING)] = None,
    runtime: Annotated[
        str | None, typer.Option(help="What executed it: TensorRT, ONNX Runtime ...", rich_help_panel=_SETTING)
    ] = None,
    server: Annotated[str | None, typer.Option(help="What served it: Triton ...", rich_help_panel=_SERVER)] = None,
    model_instances: Annotated[
        int | None, typer.Option(metavar="N", help="Executions at once on the device.", rich_help_panel=_SERVER)
    ] = None,
    max_batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Most items that the server batches.", rich_help_panel=_SERVER)
    ] = None,
    prompt_tokens: Annotated[
        float | None, typer.Option(metavar="N", help="Tokens of a prompt, on average.", rich_help_panel=_SETTING)
    ] = None,
    output_tokens: Annotated[
        float | None, typer.Option(metavar="N", help="Tokens of an answer, on average.", rich_help_panel=_SETTING)
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="The endpoint to read, where Locust drove several.", rich_help_panel=_SETTING),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where the figures come from, in words.", rich_help_panel=_SOURCE)
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where they can be read.", rich_help_panel=_SOURCE)] = None,
    licence: Annotated[str | None, typer.Option(help="Under which licence.", rich_help_panel=_SOURCE)] = None,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="When it was measured.", rich_help_panel=_SOURCE)
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the profile; default: the file's.", show_default=False)] = "",
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Take runs that were cut short or are not valid.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages on stderr.")] = False,
) -> None:
    """Read what another tool measured, fit it, and write a profile that scenarios can name.

    Example: calibrate import perf-analyzer --batch 1 b1.csv --batch 8 b8.csv -o bert.json
    """
    from calibration.console import Messages
    from calibration.imported import profile_of
    from calibration.importers import ImportOptions, import_files
    from calibration.profile_writer import write_profile

    _check_output(output, files)
    options = ImportOptions(
        batches=_batches(batch or []),
        device=device,
        model=model,
        precision=precision,
        runtime=runtime,
        server=server,
        model_instances=model_instances,
        max_batch_size=max_batch_size,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        endpoint=endpoint,
        source=source,
        url=url,
        licence=licence,
        date=_checked_date(date),
        allow_incomplete=allow_incomplete,
    )
    found = import_files(format, files, options)
    profile, found = profile_of(found, name=name, seed=seed)
    try:
        write_profile(profile, output)
    except OSError as error:
        refuse("--output", "must be a file that can be written", str(output), f"{error.strerror or error}.")
    messages = Messages(quiet=quiet)
    told = profile.service_model.warnings if profile.service_model is not None else ()
    for warning in dict.fromkeys((*found.warnings, *told)):
        messages.say(f"! {warning}")
    messages.say(f"wrote {output}")
    print_result(_json(found, profile, output) if as_json else _summary(found, profile))


def _check_output(output: Path, files: list[Path]) -> None:
    """Refuse a profile that could not be written, before anything is read."""
    if output.is_dir():
        refuse("--output", "must be a file, not a directory", str(output), "Name the profile, such as profile.json.")
    if not output.parent.is_dir():
        refuse("--output", "must be in a folder that exists", str(output), f"Make '{output.parent}' first.")
    if any(file.exists() and output.exists() and file.samefile(output) for file in files):
        refuse("--output", "must be another file than those that are read", str(output), "Name a new file.")


def _batches(texts: list[str]) -> tuple[int, ...]:
    """Numbers of ``--batch 1 --batch 8``, or of ``--batch 1,8``."""
    found = []
    for text in (part for one in texts for part in one.split(",")):
        if not text.strip().isdecimal():
            refuse("--batch", "must be a whole number", repr(text), "Write --batch 8 before the file.")
        found.append(int(text))
    return tuple(found)


def _checked_date(text: str | None) -> str | None:
    import datetime as dt

    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        refuse("--date", "must be a day", repr(text), "Write it as 2026-01-19.")


def _summary(found: Observations, profile: ProfileFile) -> str:
    """What a person wants to know at once; the rest is for ``calibrate show``."""
    from calibration.origin import subject
    from calibration.page import count, significant
    from calibration.points import points_of, profile_in

    lines = [f"{subject(profile)}: {len(found.rows)} {'row' if len(found.rows) == 1 else 'rows'} of {_tool(found)}"]
    if profile.has_curve:
        curve = profile_in(profile)
        points = points_of(profile)
        low, high = curve.range
        ends = " to ".join(dict.fromkeys(f"{significant(ms)} ms" for ms in (points[0].fitted_ms, points[-1].fitted_ms)))
        sizes = f"batch {low}" if low == high else f"batch {low} to {high}"
        lines.append(f"  curve      {sizes}, {count(len(points))} measured: {ends}")
        lines.append(f"  overheads  {_overheads(curve)}")
    if profile.llm:
        lines.append("  step times of an LLM: calibrate show tells them")
    elif not profile.has_curve:
        lines.append("  not fitted: kept to be joined with more")
    return "".join(f"{line}\n" for line in lines)


def _tool(found: Observations) -> str:
    return str(found.provenance.get("tool", "measurements"))


def _overheads(curve: Any) -> str:
    from calibration.page import significant
    from calibration.profile import OVERHEADS
    from calibration.profile_file import WHOLE_LATENCY

    told = {name.removesuffix("_ms"): getattr(curve.overheads, name) for name in OVERHEADS}
    parts = [
        f"{name} {' to '.join(dict.fromkeys(significant(ms) for ms in (values[0], values[-1])))} ms"
        for name, values in told.items()
        if any(values)
    ]
    if WHOLE_LATENCY in curve.warnings and not parts:
        return "none known: whatever they are, the curve holds them"
    return ", ".join(parts) or "none known: the curve is of the execution alone"


def _json(found: Observations, profile: ProfileFile, output: Path) -> str:
    """One object, with the keys of the profile file where it has them."""
    import json

    written = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    written.get("service_model", {}).pop("samples_ms", None)
    content: dict[str, Any] = {
        "schema_version": 1,
        "output": str(output),
        "scope": found.scope,
        "rows": len(found.rows),
        "warnings": list(found.warnings),
        **{key: written[key] for key in ("provenance", "service_model", "llm") if key in written},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

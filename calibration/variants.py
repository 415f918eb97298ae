"""What a command line asks to be measured: which variants of a model, at which batch sizes, each into which file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Final

from calibration.backends.protocol import Variant
from calibration.problems import InputError, Problem
from calibration.profile import LARGEST_BATCH
from calibration.source import COMMAND_LINE, did_you_mean, printable

PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8")
"""Number formats of weights and arithmetic; ``int8`` by dynamic quantisation."""

NAMES: Final = ("model", "device", "runtime", "precision")
"""What a pattern of file names may hold in braces."""

EVERY_NAME: Final = "{model}.{device}.{runtime}.{precision}.json"
"""Name of a profile in a folder."""

_DEVICE: Final = re.compile(r"cpu|tpu|cuda(:\d+)?")


def words_in(option: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Which of the known words does a list such as ``fp32,int8`` name, each once?

    >>> words_in("--precision", "fp32, int8", PRECISIONS)
    ('fp32', 'int8')

    Raises
    ------
    InputError
        With every word that is unknown or named twice.
    """
    words = [word.strip() for word in text.split(",")]
    problems = [
        _problem(option, f"is not one of {', '.join(known)}", repr(word), did_you_mean(word, known) or "Choose one.")
        for word in words
        if word not in known
    ]
    problems += _named_twice(option, words)
    if problems:
        raise InputError(problems)
    return tuple(words)


def batches_in(text: str, option: str = "--batch") -> tuple[int, ...]:
    """Which batch sizes does a list such as ``1,2,4`` name, in increasing order?

    >>> batches_in("8,1,2")
    (1, 2, 8)

    Raises
    ------
    InputError
        With everything in it that is no batch size, or named twice.
    """
    words = [word.strip() for word in text.split(",")]
    remedy = "Write sizes and commas, for instance 1,2,4,8."
    problems = [
        _problem(option, f"must be whole numbers from 1 to {LARGEST_BATCH}", repr(word), remedy)
        for word in words
        if not (word.isascii() and word.isdecimal() and 1 <= int(word) <= LARGEST_BATCH)
    ]
    problems += _named_twice(option, words)
    if problems:
        raise InputError(problems)
    return tuple(sorted(int(word) for word in words))


def variants_of(
    model: str,
    device: str,
    runtimes: Iterable[str],
    precisions: Sequence[str],
    *,
    sizes: Mapping[str, int] | None = None,
    inputs: Mapping[str, str] | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> tuple[Variant, ...]:
    """Every runtime in every precision, in the order named.

    Raises
    ------
    InputError
        When there is no such kind of device.
    """
    if not _DEVICE.fullmatch(device):
        remedy = "Write cpu, cuda, cuda:1 (the second GPU) or tpu."
        raise InputError([_problem("--device", "must be cpu, cuda or tpu", repr(device), remedy)])
    return tuple(
        Variant(
            model=model,
            runtime=runtime,
            device=device,
            precision=precision,
            sizes=dict(sizes) if sizes else None,
            inputs=dict(inputs) if inputs else None,
            threads=threads,
            seed=seed,
        )
        for runtime in runtimes
        for precision in precisions
    )


def default_runtime(model: str, device: str) -> str:
    """Which runtime executes this model on this device where nobody chose one?

    >>> default_runtime("bert-base", "cuda"), default_runtime("bert-base", "tpu")
    ('torch', 'jax')
    """
    from calibration.backends.sources import RUNTIMES, kind_of

    possible = RUNTIMES[kind_of(model)]
    return "jax" if device == "tpu" and "jax" in possible else possible[0]


def outputs_of(written: str | None, variants: Sequence[Variant]) -> tuple[Path, ...]:
    """Into which file goes the profile of each variant?

    Parameters
    ----------
    written
        A file, for one variant. A folder (one that is there, or ends with a slash): a file in it for each variant,
        named EVERY_NAME. A pattern with names in braces, such as ``profiles/{runtime}-{precision}.json``. None: the
        current folder. Folders that are not there are made.
    variants
        What is measured.

    Raises
    ------
    InputError
        When two variants would share a file, or the name is no file's.

    Examples
    --------
    >>> both = variants_of("bert-base", "cpu", ["torch"], ["fp32", "int8"])
    >>> [str(path) for path in outputs_of("out/{precision}.json", both)]
    ['out/fp32.json', 'out/int8.json']
    """
    pattern = _pattern(written, len(variants))
    _check_pattern(pattern, written)
    paths = [Path(pattern.format(**_names(variant))) for variant in variants]
    if len(set(paths)) < len(paths):
        remedy = f"Name a folder (with a slash at its end), or a pattern such as '{_suggested(variants, pattern)}'."
        rule = f"must be a file for each of {len(paths)} variants"
        raise InputError([_problem("--output", rule, printable(pattern), remedy)])
    return tuple(paths)


def served_output(written: str | None, model: str | None, url: str) -> Path:
    """Into which file goes the profile of a served model?

    >>> str(served_output(None, "bert", "http://localhost:8000/v2")), str(served_output("a.json", None, "http://h"))
    ('bert.served.json', 'a.json')
    """
    name = model or url.partition("://")[2]
    own_name = f"{_safe(name)}.served.json"
    if written is None:
        return Path(own_name)
    if Path(written).is_dir() or written.endswith("/"):
        return Path(written) / own_name
    _check_pattern(written.replace("{", "{{").replace("}", "}}"), written)
    return Path(written)


def make_folders(paths: Iterable[Path]) -> None:
    """Make the folders that these files go to.

    Raises
    ------
    InputError
        When one cannot be made.
    """
    for folder in {path.parent for path in paths}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            rule = f"needs a folder that cannot be made: {reason}"
            raise InputError([_problem("--output", rule, printable(folder), "Name another.")]) from None


def _pattern(written: str | None, count: int) -> str:
    if written is None:
        return EVERY_NAME
    is_folder = Path(written).is_dir() or written.endswith("/") or (count > 1 and not Path(written).suffix)
    return str(Path(written) / EVERY_NAME) if is_folder else written


def _check_pattern(pattern: str, written: str | None) -> None:
    try:
        named = [name for _, name, _, _ in Formatter().parse(pattern) if name is not None]
    except ValueError:
        named = [""]
    unknown = [name for name in named if name not in NAMES]
    if unknown:
        listed = ", ".join(f"{{{name}}}" for name in NAMES)
        rule = f"may hold {listed} and no other braces"
        raise InputError([_problem("--output", rule, printable(pattern), did_you_mean(unknown[0], NAMES))])
    if Path(pattern).suffix != ".json":
        rule, remedy = "must be a .json file, or a folder with a slash at its end", "Add .json, or a slash."
        raise InputError([_problem("--output", rule, printable(written or pattern), remedy)])


def _names(variant: Variant) -> dict[str, str]:
    """Values for the names in braces, none of which can leave the folder."""
    model = Path(variant.model).stem if variant.model.endswith((".pt", ".ts", ".onnx")) else variant.model
    values = {"model": model, "device": variant.device, "runtime": variant.runtime, "precision": variant.precision}
    return {name: _safe(value) for name, value in values.items()}


def _safe(value: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", value).strip(".-") or "model"


def _suggested(variants: Sequence[Variant], pattern: str) -> str:
    differing = [name for name in NAMES if len({getattr(variant, name) for variant in variants}) > 1]
    braces = "-".join(f"{{{name}}}" for name in differing)
    path = Path(pattern)
    return str(path.with_name(f"{path.stem}-{braces}.json"))


def _named_twice(option: str, words: Sequence[str]) -> list[Problem]:
    twice = [word for index, word in enumerate(words) if word in words[:index]]
    rule = "must name each once"
    return [_problem(option, rule, f"{word} twice", "Leave one out.") for word in dict.fromkeys(twice)]


def _problem(option: str, rule: str, value: str | None, remedy: str) -> Problem:
    return Problem(COMMAND_LINE, None, None, option, rule, value, remedy)

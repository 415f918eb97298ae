"""What the person who imports a file says of it, because the file itself does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from calibration.observation import PROVENANCE
from calibration.problems import InputError, Problem

COMMAND_LINE: Final = "<command line>"
"""The place of a problem with an option."""

_TOLD: Final = ("model", "device", "precision", "runtime", "server", "source", "citation", "url", "licence", "date")


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """The options of ``calibrate import``; what is None was not said."""

    batches: tuple[int, ...] = ()
    """Items in a request, one for each file in their order (``--batch``)."""
    model: str | None = None
    """The model measured; chooses one where a file holds several."""
    device: str | None = None
    """The accelerator or the processor (``--device``, ``--gpu``)."""
    precision: str | None = None
    """fp32, fp16, int8, ..."""
    runtime: str | None = None
    """What executed the model: TensorRT, ONNX Runtime, PyTorch, vLLM, ..."""
    server: str | None = None
    """What served it: Triton, TorchServe, ..."""
    source: str | None = None
    """Where the figures come from, in words."""
    citation: str | None = None
    """A reference that names where they were published."""
    url: str | None = None
    """Where they can be read."""
    licence: str | None = None
    """Under which licence they stand."""
    date: str | None = None
    """The day of the measurement, for instance 2026-01-19."""
    model_instances: int | None = None
    """Executions that may run at once on the device."""
    max_batch_size: int | None = None
    """Most items that the server puts in one batch."""
    prompt_tokens: float | None = None
    """Tokens of a prompt, on average."""
    output_tokens: float | None = None
    """Tokens of an answer, on average."""
    endpoint: str | None = None
    """The name of the endpoint to read where a load tester drove several."""
    allow_incomplete: bool = False
    """Take what a run that was cut short, or was not valid, did measure."""

    def provenance(self, *, tool: str, **found: Any) -> dict[str, Any]:
        """Which provenance results from what was said and what the file tells? What was said wins.

        Parameters
        ----------
        tool
            The tool that measured, with its version where the file tells it.
        found
            What the file tells, by the keys of :data:`calibration.observation.PROVENANCE` or others; None is left out.

        >>> ImportOptions(device="T4").provenance(tool="perf_analyzer", model="bert", device="GPU 0", date=None)
        {'model': 'bert', 'device': 'T4', 'tool': 'perf_analyzer'}
        """
        told = {key: getattr(self, key) for key in _TOLD}
        both = {"tool": tool, **found, **{key: value for key, value in told.items() if value is not None}}
        order = [*(key for key in PROVENANCE if key in both), *(key for key in both if key not in PROVENANCE)]
        return {key: both[key] for key in order if both[key] is not None and both[key] != ""}

    def batch_for_each(self, count: int) -> tuple[int, ...]:
        """Items in a request of each of ``count`` files; empty where nothing was said.

        Raises
        ------
        InputError
            There are not as many batches as files.
        """
        if len(self.batches) not in (0, count):
            said = " ".join(f"--batch {batch}" for batch in self.batches[:6])
            files = "1 file" if count == 1 else f"{count} files"
            remedy = "Write --batch N before each file, in the same order: --batch 1 b1.csv --batch 8 b8.csv."
            raise InputError([option_problem("--batch", f"must be given once for each file ({files})", said, remedy)])
        return self.batches

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the options, whatever the files hold."""
        for batch in self.batches:
            if batch < 1:
                yield option_problem("--batch", "must be at least 1", str(batch), "Give the items of a request.")
        for name in ("model_instances", "max_batch_size", "prompt_tokens", "output_tokens"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < float("inf"):
                yield option_problem(option_of(name), "must be at least 1", f"{value:g}", "Leave it out if unknown.")


def option_of(name: str) -> str:
    """The option that sets a field of :class:`ImportOptions`.

    >>> option_of("batches"), option_of("max_batch_size")
    ('--batch', '--max-batch-size')
    """
    return "--batch" if name == "batches" else "--" + name.replace("_", "-")


def given(options: ImportOptions) -> list[str]:
    """Names of the fields that were said."""
    return [field.name for field in fields(options) if getattr(options, field.name) != field.default]


def option_problem(option: str, rule: str, value: str | None, remedy: str) -> Problem:
    """A problem with an option of the command line."""
    return Problem(COMMAND_LINE, None, None, option, rule, value, remedy)

"""Step times of an LLM as a figure: what an output token and a prompt take, inside the range that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from calibration.llm_page import contexts_of
from calibration.page import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: Final = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", ":"))
"""Okabe and Ito's blue, vermilion and green, with a line style each."""

_POINTS: Final = 200


def draw_steps(panels: tuple[Axes, Axes], llm: Mapping[str, Any]) -> None:
    """Draw time per output token by running sequences above, time to the first token by prompt below."""
    import numpy as np

    from calibration.llm_steps import StepModel

    model = StepModel.model_validate(llm)
    above, below = panels
    ranges = model.valid_range
    low, high = ranges.running
    running = np.linspace(max(low, 1), max(high, 1), _POINTS)
    for context, (colour, line) in zip(contexts_of(model), _STYLES, strict=False):
        times = model.token_ms(running, context, allow_extrapolation=True)
        measured = ~model.extrapolated(0, running, running * context)
        label = f"{count(context)} tokens of context each"
        above.plot(running[measured], times[measured], line, color=colour, label=label)
    above.set(xlabel="running sequences", ylabel="time per output token (ms)")
    above.set_ylim(0, 1.1 * above.dataLim.ymax)
    above.legend(frameon=False)
    low, high = ranges.prefill_tokens
    prompts = np.linspace(max(low, 1), max(high, 1), _POINTS)
    below.plot(prompts, model.first_token_ms(prompts, allow_extrapolation=True), color=_STYLES[0][0])
    below.set(xlabel="tokens of a prompt alone", ylabel="time to its first token (ms)")
    below.set_ylim(0, 1.1 * below.dataLim.ymax)
    for axis in (above.xaxis, above.yaxis, below.xaxis, below.yaxis):
        axis.set_major_formatter("{x:,g}")

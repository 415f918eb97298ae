"""A step model answers as its formula says, within what it was fitted to, and survives the way through a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from calibration.llm_steps import ClosedLoop, Ranges, StepModel, in_balance
from calibration.profile_file import ProfileFile

RANGES = Ranges(prefill_tokens=(0, 4096), running=(0, 64), context_tokens=(0, 262144), context_per_sequence=(0, 8192))

MODEL = StepModel(
    method="table",
    fixed_ms=8,
    prefill_fixed_ms=2,
    tokens=(128, 512, 2048),
    tokens_ms=(1, 20, 100),
    ms_per_squared_prefill_token=1e-6,
    running=(1, 8, 64),
    running_ms=(0, 1, 6),
    ms_per_context_token=1e-4,
    ms_per_context_token_beside_prefill=2e-4,
    closed_loop=ClosedLoop(overhead_ms=15, queue_ms_per_prompt_token=0.002),
    valid_range=RANGES,
)


@pytest.mark.parametrize(
    ("prefill", "running", "context", "ms"),
    [
        (0, 0, 0, 0),
        (0, 1, 1024, 8 + 0.1024),
        (0, 36, 36_000, 8 + 3.5 + 3.6),
        (512, 0, 0, 8 + 2 + 20 + 0.262144),
        (64, 0, 0, 8 + 2 + 1 + 0.004096),
        (504, 8, 8_000, 8 + 2 + 20 + 0.254016 + 1 + 0.8 + 1.6),
        (3072, 0, 0, 8 + 2 + 100 + 1024 * 80 / 1536 + 9.437184),
    ],
)
def test_a_step_takes_what_its_terms_add_up_to(prefill: int, running: int, context: int, ms: float) -> None:
    """Worked by hand: nothing, decode, between points, prefill, below the first point, both, above the last point."""
    assert ms == pytest.approx(float(MODEL.step_ms(prefill, running, context)))


@given(
    prefill=st.integers(0, 4095),
    running=st.integers(1, 63),
    each=st.integers(0, 4000),
    more=st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1)]),
)
def test_more_work_never_takes_less_time(prefill: int, running: int, each: int, more: tuple[int, int, int]) -> None:
    less = (prefill, running, running * each)
    times = MODEL.step_ms(*np.transpose([less, np.add(less, more)]))
    assert times[1] >= times[0]


def test_arguments_broadcast() -> None:
    assert (2, 3) == MODEL.step_ms([[0], [512]], [1, 8, 64], 4096).shape


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((8192, 0, 0), "steps of 0 to 4096 prefill tokens were measured, asked for 8192"),
        ((0, 128, 1024), "steps of 0 to 64 running sequences were measured, asked for 128"),
        ((0, 64, 300_000), "steps of 0 to 262144 context tokens were measured, asked for 300000"),
        ((0, 2, 20_000), "steps of 0 to 8192 context tokens for each sequence were measured, asked for 10000"),
        ((-1, 1, 1), "tokens and sequences cannot be negative"),
    ],
)
def test_what_was_not_measured_is_refused(asked: tuple[int, int, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MODEL.step_ms(*asked)


def test_extrapolation_that_is_allowed_is_marked() -> None:
    settings = np.transpose([(512, 8, 8192), (8192, 8, 8192), (0, 128, 1024), (0, 0, 0)])
    assert [False, True, True, False] == MODEL.extrapolated(*settings).tolist()
    assert np.isfinite(MODEL.step_ms(*settings, allow_extrapolation=True)).all()


def test_a_first_token_alone_is_a_step_and_what_the_server_adds() -> None:
    assert 15 + float(MODEL.step_ms(1000, 0, 0)) == pytest.approx(float(MODEL.first_token_ms(1000)))


def test_a_token_without_prompts_coming_in_is_a_step_of_the_running_sequences() -> None:
    assert float(MODEL.step_ms(0, 16, 16 * 700)) == float(MODEL.token_ms(16, 700))


@given(concurrency=st.integers(1, 60), prompt=st.integers(16, 2000), answer=st.integers(2, 500))
def test_ttft_and_tpot_of_a_closed_loop_explain_each_other(concurrency: int, prompt: int, answer: int) -> None:
    """If the way round had stopped early, the steps that these times lead to would take other times."""
    ttft, tpot = MODEL.closed_loop_ms(concurrency, prompt, answer, allow_extrapolation=True)
    balance = in_balance(*(np.array(float(x)) for x in (concurrency, prompt, answer, ttft, tpot)))
    running, context, share, prompts = balance
    busy = MODEL.step_ms(prompts, running, context, allow_extrapolation=True)
    quiet = MODEL.step_ms(0, running, context, allow_extrapolation=True)
    assert float(tpot) == pytest.approx(float(share * busy + (1 - share) * quiet), rel=1e-6)
    first = MODEL.step_ms(prompt, running, context, allow_extrapolation=True)
    assert float(ttft) == pytest.approx(15 + 0.002 * (concurrency - 1) * prompt + float(first), rel=1e-6)


def test_littles_law_holds_in_balance() -> None:
    """Requests in prefill and in decode are all that are outstanding."""
    one = np.ones(1)
    ttft, tpot, answer = 250.0, 12.0, 101.0
    running, _, share, _ = in_balance(32 * one, 900 * one, answer * one, ttft * one, tpot * one)
    starts_each_ms = share / tpot
    assert 32 == pytest.approx(float((running + starts_each_ms * ttft)[0]))


def test_a_closed_loop_beyond_the_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="running sequences were measured"):
        MODEL.closed_loop_ms(500, 100, 500)


def test_it_survives_the_way_through_a_profile_file() -> None:
    text = json.dumps({"schema": 1, "llm": MODEL.model_dump(mode="json", exclude_none=True)})
    file = ProfileFile.model_validate(json.loads(text))
    assert file.llm is not None
    assert MODEL == StepModel.model_validate(file.llm)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"tokens": (0, 0)}, "must be more than the entry before"),
        ({"tokens_ms": (0, 20, 10)}, "must be at least the entry before"),
        ({"running": (1, 2)}, "must be as long as running"),
        ({"fixed_ms": -1}, "greater than or equal to 0"),
    ],
)
def test_curves_that_are_no_curves_are_refused(broken: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        StepModel.model_validate({**MODEL.model_dump(), **broken})


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="must end at or after its start"):
        Ranges(prefill_tokens=(9, 1), running=(0, 1), context_tokens=(0, 1), context_per_sequence=(0, 1))


def test_the_cost_of_one_more_is_the_last_slope() -> None:
    assert (80 / 1536, 5 / 56) == pytest.approx((MODEL.ms_per_prefill_token, MODEL.ms_per_running))

"""What chance decides, drawn ahead: the same however it is asked for, and with the shares it should have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulator.clock import NEVER
from simulator.draws import WorkloadDraws, side_by_side
from simulator.model import FleetModel, Model
from simulator.noise import lognormal
from simulator.policies import routing
from simulator.policies.routing import COIN_BITS
from tests.models import MS, S, arriving, by_items, looping, model_of
from tests.strategies import models

SCATTERING = FleetModel(
    by_items(1, 2, 3, 4), instances=3, router=routing.TWO, noise=lognormal(np.full(4, 0.3)), max_batch=4
)
MIX = {"items": (1, 2, 4), "item_weights": (5.0, 3.0, 2.0)}


@given(models(), st.lists(st.integers(0, 300), max_size=4), st.integers(0, 2))
def test_draws_do_not_depend_on_where_a_run_is_cut(model: Model, cuts: list[int], which: int) -> None:
    """A streamed run asks for its draws in stretches, and must get those of the run in one piece."""
    workload = which % len(model.workloads)
    whole, parts = WorkloadDraws(model, workload), WorkloadDraws(model, workload)
    if whole.closed:
        expected = whole.more(sum(cuts))
        pieces = [parts.more(n) for n in cuts]
    else:
        expected = whole.until(NEVER)
        ends = sorted(model.horizon_ns * cut // 200 for cut in cuts)
        pieces = [parts.until(end) for end in (*ends, NEVER)]
    for column, values in enumerate(expected):
        got = [piece[column] for piece in pieces]
        assert values.tolist() == np.concatenate([values[:0], *got]).tolist()


def large_draws(**rest: Any) -> tuple[Any, ...]:
    """The four columns of 200,000 requests of a closed loop."""
    return WorkloadDraws(model_of(SCATTERING, looping(1, **rest)), 0).more(200_000)


def test_items_occur_as_often_as_their_weights_say() -> None:
    """A mix drawn wrongly is another load. Pearson's test, which fails by chance once in a thousand seeds."""
    _, items, _, _ = large_draws(**MIX)
    counts = [int((items == size).sum()) for size in MIX["items"]]
    assert len(items) == sum(counts)
    assert stats.chisquare(counts, np.array([0.5, 0.3, 0.2]) * len(items)).pvalue > 0.001


def test_a_coin_holds_two_even_draws() -> None:
    """Each half of a coin names every instance equally often, whatever the other half says."""
    _, _, coin, _ = large_draws()
    one = coin & ((1 << COIN_BITS) - 1)
    other = coin >> COIN_BITS
    assert (other < 1 << COIN_BITS).all()
    counts = np.histogram2d(one % 7, other % 6, bins=(range(8), range(7)))[0].ravel()
    assert stats.chisquare(counts).pvalue > 0.001


def test_what_no_request_needs_is_not_drawn() -> None:
    """One item each, a router without coins, no scatter: nothing to draw, and 0 items say 'the one size there is'."""
    times, items, coin, noise = WorkloadDraws(model_of(FleetModel(by_items(1)), arriving(1, 2, 3)), 0).until(NEVER)
    assert [1 * MS, 2 * MS, 3 * MS] == times.tolist()
    assert [0, 0, 0] == items.tolist()
    assert [0, 0, 0] == coin.tolist()
    assert 0 == len(noise)


def test_purposes_do_not_share_a_stream() -> None:
    """Large requests that were also slow ones, because both came of one draw, would fatten the tail."""
    _, items, coin, noise = large_draws(**MIX)
    columns = [items.astype(float), (coin >> COIN_BITS).astype(float), noise]
    correlation = np.corrcoef(columns)[np.triu_indices(3, k=1)]
    assert np.abs(correlation).max() < 4 / np.sqrt(len(items))


def test_columns_of_several_workloads_lie_one_after_the_other() -> None:
    """The engine finds a workload's draws by where they begin; a workload without scatter has zeros for it."""
    quiet = replace(SCATTERING, noise=None)
    model = model_of((SCATTERING, quiet), (arriving(1, 2), arriving(5, fleet=1), arriving(7, 8, 9)), S)
    columns = [WorkloadDraws(model, w).until(NEVER) for w in range(3)]
    draws = side_by_side(columns, noisy=True)
    assert [0, 2, 3, 6] == draws.first.tolist()
    assert [1, 2, 5, 7, 8, 9] == (draws.arrival_ns // MS).tolist()
    assert [*columns[0][3], 0.0, *columns[2][3]] == draws.noise.tolist()
    assert 6 == len(draws.coin) == len(draws.items)
    assert 0 == len(side_by_side(columns, noisy=False).noise)


@pytest.mark.parametrize("purpose", ["items", "coin", "noise"])
def test_another_workload_draws_otherwise(purpose: str) -> None:
    """Two workloads with the same draws would send their large requests together."""
    model = model_of(SCATTERING, (looping(1, **MIX), looping(1, **MIX)))
    column = ("times", "items", "coin", "noise").index(purpose)
    one, two = (WorkloadDraws(model, w).more(100)[column] for w in (0, 1))
    assert one.tolist() != two.tolist()

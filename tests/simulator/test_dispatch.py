"""Laws of the order in which commitments cover usage, and the linear program that it solves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.dispatch import Coverage, cover

TYPES = ("a", "b", "c")
PLACES = ("east", "west")

quantities = st.floats(0, 1e4, allow_subnormal=False).map(lambda value: round(value, 3))
prices = st.floats(0.01, 100).map(lambda value: round(value, 4))
starts = st.integers(-3, 5)
terms = st.integers(1, 8)


@st.composite
def commitments(draw: st.DrawFn, most: int = 5) -> list[Commitment]:
    """Reservations and spend commitments whose terms begin before, in and after the hours, regional and not."""
    made: list[Commitment] = []
    for number in range(draw(st.integers(0, most))):
        region = draw(st.sampled_from(("", *PLACES)))
        if draw(st.booleans()):
            made.append(
                Reservation(
                    f"r{number}", draw(st.sampled_from(TYPES)), draw(quantities), draw(prices), draw(starts),
                    draw(terms), region=region, guarantees_capacity=draw(st.booleans()),
                )
            )  # fmt: skip
        else:
            rates = draw(st.dictionaries(st.sampled_from(TYPES), prices))
            made.append(
                SpendCommitment(
                    f"s{number}",
                    draw(prices),
                    rates,
                    draw(starts),
                    draw(terms),
                    region=region,
                    wide=draw(st.booleans()),
                )
            )
    return made


@st.composite
def situations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]]:
    """Usage, prices (constant or by hour), types, regions, commitments."""
    hours, columns = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    wanted = np.array([[draw(quantities) for _ in range(columns)] for _ in range(hours)])
    rows = hours if draw(st.booleans()) else 1
    price = np.array([[draw(prices) for _ in range(columns)] for _ in range(rows)])
    types = [draw(st.sampled_from(TYPES)) for _ in range(columns)]
    regions = [draw(st.sampled_from(PLACES)) for _ in range(columns)]
    return wanted, price, types, regions, draw(commitments())


def offered(made: list[Commitment], hours: int) -> np.ndarray:
    """(T, K): units or dollars of each commitment in each hour, from its definition."""
    return np.array(
        [
            [
                (one.units if isinstance(one, Reservation) else one.usd_per_hour)
                if one.start_h <= hour < one.start_h + one.term_h
                else 0.0
                for one in made
            ]
            for hour in range(hours)
        ]
    ).reshape(hours, len(made))


def on_demand_usd(coverage: Coverage, price: np.ndarray) -> float:
    return float((coverage.on_demand * price).sum())


@given(situations())
@settings(max_examples=80, deadline=None)
def test_each_hour_adds_up(situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]]) -> None:
    """Otherwise a commitment or an instance hour is billed twice, or not at all."""
    wanted, price, types, regions, made = situation
    coverage = cover(wanted, made, price, types, regions=regions)
    committed = offered(made, len(wanted))
    scale = 1e-9 * (1 + wanted.max() + committed.max(initial=0.0))

    np.testing.assert_allclose(coverage.committed, committed, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(coverage.covered.sum(axis=0) + coverage.on_demand, wanted, rtol=1e-9, atol=scale)
    for part in (coverage.covered, coverage.used, coverage.unused, coverage.on_demand):
        assert part.size == 0 or part.min() >= 0
    for number, one in enumerate(made):
        draw = [1.0 if isinstance(one, Reservation) else one.rates.get(name, 0.0) for name in types]
        np.testing.assert_allclose(
            (coverage.covered[number] * draw).sum(axis=1), coverage.used[:, number], rtol=1e-9, atol=scale
        )


@given(situations())
@settings(max_examples=80, deadline=None)
def test_nothing_is_covered_that_a_commitment_is_not_for(
    situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]],
) -> None:
    """Otherwise a commitment works in another region, for another type, or outside its term."""
    wanted, price, types, regions, made = situation
    coverage = cover(wanted, made, price, types, regions=regions)
    for number, one in enumerate(made):
        for column, (name, region) in enumerate(zip(types, regions, strict=True)):
            fits = name == one.instance_type if isinstance(one, Reservation) else name in one.rates
            if not fits or one.region not in {"", region}:
                assert not coverage.covered[number, :, column].any()


@given(situations(), commitments(most=2))
@settings(max_examples=100, deadline=None)
def test_more_commitments_never_raise_what_is_bought_on_demand(
    situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]], more: list[Commitment]
) -> None:
    """Otherwise a discount could be bought and the bill on demand grow, for any type in any hour.

    By induction over the ranked pairs: with less left to cover and more to cover it with, each pair leaves less.
    """
    wanted, price, types, regions, made = situation
    extra = [replace(one, name=f"more {one.name}") for one in more]
    before = cover(wanted, made, price, types, regions=regions)
    after = cover(wanted, [*made, *extra], price, types, regions=regions)
    assert (after.on_demand <= before.on_demand + 1e-9 * (1 + wanted.max())).all()


@given(situations(), st.floats(1, 3))
@settings(max_examples=60, deadline=None)
def test_larger_commitments_never_raise_what_is_bought_on_demand(
    situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]], factor: float
) -> None:
    """Otherwise the on-demand part would not be monotone in what is committed, as every search assumes."""
    wanted, price, types, regions, made = situation
    larger = [
        replace(one, units=one.units * factor)
        if isinstance(one, Reservation)
        else replace(one, usd_per_hour=one.usd_per_hour * factor)
        for one in made
    ]
    before = cover(wanted, made, price, types, regions=regions)
    after = cover(wanted, larger, price, types, regions=regions)
    assert (after.on_demand <= before.on_demand + 1e-9 * (1 + wanted.max())).all()


@given(
    st.lists(st.tuples(quantities, prices, st.floats(0.05, 1.0)), min_size=1, max_size=6),
    st.floats(0.01, 1e4),
)
@settings(max_examples=80, deadline=None)
def test_highest_saving_first_is_the_cheapest_use_of_one_plan(
    usage: list[tuple[float, float, float]], commitment: float
) -> None:
    """Otherwise the ledger bills more than the plan allows: the order must solve the linear program.

    ``min sum_j o_j (w_j - h_j)``, ``sum_j r_j h_j <= C``, ``0 <= h_j <= w_j``, solved by HiGHS.
    """
    wanted, price, ratio = (np.array(column) for column in zip(*usage, strict=True))
    rate = price * ratio
    types = [f"t{number}" for number in range(len(usage))]
    plan = SpendCommitment("sp", commitment, dict(zip(types, rate.tolist(), strict=True)), 0, 1)
    coverage = cover(wanted[None], [plan], price, types)
    best = linprog(-price, A_ub=rate[None], b_ub=[commitment], bounds=[(0, float(most)) for most in wanted])
    assert on_demand_usd(coverage, price) == pytest.approx(float(wanted @ price + best.fun), rel=1e-6, abs=1e-6)


@given(situations())
@settings(max_examples=60, deadline=None)
def test_the_hours_are_billed_by_themselves(
    situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]],
) -> None:
    """Otherwise stacking scenarios as rows, or prices that change, would change an hour's bill."""
    wanted, price, types, regions, made = situation
    whole = cover(wanted, made, price, types, regions=regions)
    for hour in range(len(wanted)):
        alone = cover(
            wanted[hour : hour + 1], made, price[min(hour, len(price) - 1)], types, regions=regions, hour=[hour]
        )
        np.testing.assert_allclose(alone.on_demand[0], whole.on_demand[hour], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(alone.used[0], whole.used[hour], rtol=1e-9, atol=1e-9)


@given(situations())
@settings(max_examples=60, deadline=None)
def test_without_items_the_sums_are_the_same(
    situation: tuple[np.ndarray, np.ndarray, list[str], list[str], list[Commitment]],
) -> None:
    """Otherwise the lean form that an optimizer calls would not be the ledger's."""
    wanted, price, types, regions, made = situation
    full = cover(wanted, made, price, types, regions=regions)
    lean = cover(wanted, made, price, types, regions=regions, itemise=False)
    assert lean.covered.shape == (0, *wanted.shape)
    np.testing.assert_array_equal(full.on_demand, lean.on_demand)
    np.testing.assert_array_equal(full.used, lean.used)


def test_reservations_come_first_then_the_narrow_plan_then_the_wide_one() -> None:
    """Otherwise a saving larger than a reservation's would jump the queue, as no provider lets it."""
    made = [
        SpendCommitment("wide", 0.10, {"a": 0.10}, 0, 1),
        SpendCommitment("narrow", 0.50, {"a": 0.50}, 0, 1, wide=False),
        Reservation("regional", "a", 1, 0.80, 0, 1),
        Reservation("zonal", "a", 1, 0.90, 0, 1, guarantees_capacity=True),
    ]
    for wanted, expected in ((1, [0, 0, 0, 1]), (2, [0, 0, 1, 1]), (3, [0, 1, 1, 1]), (4, [1, 1, 1, 1])):
        coverage = cover([[float(wanted)]], made, [1.0], ["a"])
        assert expected == coverage.covered[:, 0, 0].tolist()


def test_plans_of_one_kind_are_applied_together_by_saving() -> None:
    """Otherwise the first plan would take usage on which the second saves more."""
    made = [
        SpendCommitment("1y", 0.7, {"a": 0.7, "b": 0.9}, 0, 1),
        SpendCommitment("3y", 0.5, {"a": 0.5, "b": 0.8}, 0, 1),
    ]
    coverage = cover([[1.0, 1.0]], made, [1.0, 1.0], ["a", "b"])
    assert coverage.covered[1, 0].tolist() == [1.0, 0.0]
    assert coverage.covered[0, 0].tolist() == [0.0, pytest.approx(0.7 / 0.9)]


def test_of_equal_savings_the_lowest_rate_is_first() -> None:
    """AWS: "applied to the first usage with the lowest Savings Plans rate"; otherwise memory loses to vCPU."""
    plan = SpendCommitment("sp", 1.0, {"vcpu": 0.03, "gb": 0.003}, 0, 1)
    coverage = cover([[400.0, 1600.0]], [plan], [0.04, 0.004], ["vcpu", "gb"])
    assert coverage.covered[0, 0].tolist() == [0.0, pytest.approx(1.0 / 0.003)]


def test_columns_of_one_type_share_what_covers_them() -> None:
    """Otherwise the team whose column is first would get the whole discount."""
    reserved = Reservation("ri", "a", 2, 0.5, 0, 1)
    coverage = cover([[1.0, 3.0]], [reserved], [1.0, 1.0], ["a", "a"])
    assert coverage.covered[0, 0].tolist() == [0.5, 1.5]


def test_idle_capacity_is_covered_after_everything_that_runs() -> None:
    """Otherwise a machine that stands by would take the discount of one that runs."""
    plan = SpendCommitment("sp", 1.0, {"a": 0.5, "b": 0.9}, 0, 1)
    coverage = cover([[2.0, 1.0]], [plan], [1.0, 1.0], ["a", "b"], spare=[True, False])
    assert coverage.covered[0, 0].tolist() == [pytest.approx(0.2), 1.0]


def test_the_order_follows_the_prices_of_the_hour() -> None:
    """Otherwise a price cut in the middle of a year would not change which usage saves most."""
    plan = SpendCommitment("sp", 0.5, {"a": 0.5, "b": 0.5}, 0, 2)
    coverage = cover([[1.0, 1.0], [1.0, 1.0]], [plan], [[2.0, 1.0], [1.0, 2.0]], ["a", "b"])
    assert coverage.covered[0].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_rate_above_the_price_is_still_used() -> None:
    """A commitment is paid for anyway: after a price cut it covers at its own rate rather than lie idle."""
    plan = SpendCommitment("sp", 1.0, {"a": 1.0}, 0, 1)
    assert cover([[1.0]], [plan], [0.8], ["a"]).on_demand[0, 0] == 0.0


@pytest.mark.parametrize(
    ("wanted", "price", "problem"),
    [
        ([[1.0, 2.0]], [1.0], "shape"),
        ([[1.0]], [1.0, 2.0], "shape"),
        ([[-1.0]], [1.0], "0 or greater"),
        ([[float("nan")]], [1.0], "0 or greater"),
        ([[1.0]], [0.0], "greater than 0"),
        ([[1.0]], [float("inf")], "greater than 0"),
    ],
)
def test_quantities_and_prices_that_mean_nothing_are_refused(
    wanted: list[list[float]], price: list[float], problem: str
) -> None:
    """Otherwise money would be computed from them."""
    with pytest.raises(ValueError, match=problem):
        cover(wanted, [], price, ["a"])

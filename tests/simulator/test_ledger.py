"""Money laws of the ledger: what is billed, what it cost, and that nothing is counted twice or lost."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.capacity_guarantee import CapacityGuarantee
from simulator.commitment import Commitment, Reservation, SpendCommitment
from simulator.discount_tiers import DiscountTiers
from simulator.ledger import Ledger, Rates, Usage, recurring_share, settle, unit_usd, upfront_usd
from simulator.ledger_input import UsageKind
from simulator.ledger_lines import CHARGES, UNALLOCATED, Lines, by_commitment, by_tag, itemise

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ("a", "b")
KINDS: tuple[UsageKind, ...] = ("on_demand", "on_demand", "on_demand", "spot", "serverless")

quantities = st.integers(0, 5_000).map(lambda value: value / 100)
prices = st.integers(1, 2_000).map(lambda value: value / 100)
shares = st.sampled_from((0.0, 0.5, 1.0))


@st.composite
def commitments(draw: st.DrawFn, hours: int, whole_terms: bool) -> list[Commitment]:
    """Commitments with every payment; within the hours, or across their edges."""
    made: list[Commitment] = []
    for number in range(draw(st.integers(0, 4))):
        if whole_terms:
            start = draw(st.integers(0, hours - 1))
            term = draw(st.integers(1, hours - start))
        else:
            start, term = draw(st.integers(-50, hours + 5)), draw(st.integers(1, 2 * hours))
        price, share = draw(prices), draw(shares)
        if draw(st.booleans()):
            upfront = price * term * share
            made.append(
                Reservation(f"r{number}", draw(st.sampled_from(TYPES)), draw(quantities), price, start, term, upfront)
            )
        else:
            rates = draw(st.dictionaries(st.sampled_from(TYPES), prices))
            made.append(SpendCommitment(f"s{number}", price, rates, start, term, share, wide=draw(st.booleans())))
    return made


@st.composite
def ledgers(draw: st.DrawFn, whole_terms: bool = False) -> Ledger:
    """Settled hours across the end of a month, with teams, spot, tiers, prices by hour and guaranteed capacity."""
    hours, columns = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    size = hours * columns
    usage = Usage(
        datetime(2026, 1, 31, 4, tzinfo=UTC),
        tuple(draw(st.sampled_from(TYPES)) for _ in range(columns)),
        np.array(draw(st.lists(quantities, min_size=hours * columns, max_size=hours * columns))).reshape(
            hours, columns
        ),
        tags=tuple({"team": team} if (team := draw(st.sampled_from(("", "x", "y")))) else {} for _ in range(columns)),
        kinds=tuple(draw(st.sampled_from(KINDS)) for _ in range(columns)),
    )
    shape = (hours, columns) if draw(st.booleans()) else (columns,)
    size = int(np.prod(shape))

    def priced() -> np.ndarray:
        return np.array(draw(st.lists(prices, min_size=size, max_size=size))).reshape(shape)

    rates = Rates(
        priced(),
        priced() if draw(st.booleans()) else None,
        priced(),
        draw(st.sampled_from((0.0, 0.1))),
        draw(st.sampled_from((None, DiscountTiers(((0, 0.01), (100, 0.2))), DiscountTiers(((50, 0.3),), whole=True)))),
    )
    guarantees = []
    if draw(st.booleans()):
        guarantees.append(CapacityGuarantee("block", draw(st.sampled_from(TYPES)), 3, 0, 2, usd_per_hour=draw(prices)))
    running = [name for name, kind in zip(usage.instance_types, usage.kinds, strict=True) if kind == "on_demand"]
    if running and draw(st.booleans()):
        guarantees.append(CapacityGuarantee("kept", draw(st.sampled_from(running)), draw(quantities), 0, hours))
    if whole_terms:
        guarantees = [one for one in guarantees if one.term_h <= hours]
    return settle(usage, rates, draw(commitments(hours, whole_terms)), guarantees)


def assert_close(actual: object, expected: object, scale: float = 1.0) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-9, atol=1e-7 * (1 + scale))


@given(ledgers())
@settings(max_examples=60, deadline=None)
def test_lines_add_up_to_the_hours(ledger: Ledger) -> None:
    """Otherwise a charge is in no line, or in two."""
    scale = float(ledger.hourly.billed_usd.max())
    for period in ("month", "hour"):
        lines = itemise(ledger, period)  # type: ignore[arg-type]
        totals = ledger.monthly if period == "month" else ledger.hourly
        count = len(totals.list_usd)
        for name in ("list_usd", "contracted_usd", "effective_usd", "billed_usd"):
            summed = np.bincount(lines.period, weights=getattr(lines, name), minlength=count)
            assert_close(summed, getattr(totals, name), scale)


@given(ledgers(whole_terms=True))
@settings(max_examples=60, deadline=None)
def test_over_whole_terms_effective_is_billed(ledger: Ledger) -> None:
    """Otherwise spreading an upfront payment would lose money or make it."""
    assert_close(ledger.total.effective_usd, ledger.total.billed_usd, float(ledger.total.billed_usd[0]))
    assert ledger.prepaid_usd(ledger.usage.hours) == pytest.approx(0.0, abs=1e-6)


@given(ledgers())
@settings(max_examples=60, deadline=None)
def test_billed_and_effective_differ_by_what_is_paid_ahead(ledger: Ledger) -> None:
    """Otherwise a budget that ends within a term would not reconcile with the cash that was paid."""
    ahead = ledger.prepaid_usd(ledger.usage.hours) - ledger.prepaid_usd(0)
    difference = ledger.total.billed_usd[0] - ledger.total.effective_usd[0]
    assert_close(difference, ahead, float(ledger.total.billed_usd[0]) + ledger.prepaid_usd(0))


@given(ledgers())
@settings(max_examples=60, deadline=None)
def test_effective_cost_is_usage_and_waste_and_nothing_else(ledger: Ledger) -> None:
    """Otherwise used, unused and on-demand lines would not be the whole of what it cost."""
    lines = itemise(ledger)
    for number, commitment in enumerate(ledger.commitments):
        own = lines.promise == number
        used, unused = (own & (lines.charge == CHARGES.index(charge)) for charge in ("used", "unused"))
        spread = float(ledger.coverage.committed[:, number].sum()) * unit_usd(commitment)
        assert_close(lines.effective_usd[used].sum() + lines.effective_usd[unused].sum(), spread, spread)
        assert not lines.billed_usd[used | unused].any()
    paid = np.isin(lines.charge, [CHARGES.index("upfront"), CHARGES.index("recurring")])
    assert not lines.effective_usd[paid].any()


@given(ledgers())
@settings(max_examples=60, deadline=None)
def test_teams_and_commitments_add_up(ledger: Ledger) -> None:
    """Otherwise a table by team or by commitment would not sum to the bill."""
    by_team = by_tag(ledger, "team")
    scale = float(ledger.hourly.billed_usd.max())
    for name in ("list_usd", "contracted_usd", "effective_usd", "billed_usd"):
        assert_close(sum(getattr(totals, name) for totals in by_team.values()), getattr(ledger.monthly, name), scale)
    lines = itemise(ledger)
    for number, totals in enumerate(by_commitment(ledger)):
        own = lines.promise == number
        assert_close(lines.effective_usd[own].sum(), totals.effective_usd, totals.effective_usd)
        assert_close(lines.billed_usd[own].sum(), totals.billed_usd, totals.billed_usd)
        assert totals.utilisation is None or 0 <= totals.utilisation <= 1
    assert 0 <= ledger.coverage_share <= 1
    assert ledger.utilisation is None or 0 <= ledger.utilisation <= 1


@given(ledgers())
@settings(max_examples=60, deadline=None)
def test_money_is_finite_and_not_negative(ledger: Ledger) -> None:
    """Otherwise a NaN price of a column that is not on spot leaked into a sum."""
    for column in ledger.hourly.columns():
        assert np.isfinite(column).all()
        assert (column >= -1e-9).all()


def one_type(instances: list[float], commitments: list[Commitment], list_usd: float = 1.0, **more: object) -> Ledger:
    usage = Usage(NEW_YEAR, ("a",), np.array(instances)[:, None])
    return settle(usage, Rates(np.array([list_usd]), **more), commitments)  # type: ignore[arg-type]


def test_terms_start_and_end_within_the_hours() -> None:
    """Otherwise a laddered purchase is charged outside its term."""
    ledger = one_type([1.0] * 6, [Reservation("ri", "a", 1, 0.6, 2, 3)])
    assert ledger.hourly.effective_usd.tolist() == [1.0, 1.0, 0.6, 0.6, 0.6, 1.0]


def test_what_was_paid_before_the_first_hour_is_not_billed_again() -> None:
    """Otherwise last year's upfront payment would be in this year's cash."""
    bought = Reservation("ri", "a", 1, 0.6, -4, 6, upfront_usd=3.6)
    ledger = one_type([1.0] * 4, [bought])
    assert ledger.hourly.billed_usd.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert ledger.hourly.effective_usd == pytest.approx([0.6, 0.6, 1.0, 1.0])
    assert ledger.prepaid_usd(0) == pytest.approx(1.2)


def test_upfront_is_billed_in_the_first_hour_of_the_term() -> None:
    """Otherwise cash is planned for the wrong month."""
    ledger = one_type([0.0] * 3, [SpendCommitment("sp", 2.0, {"a": 0.5}, 1, 100, upfront_share=0.5)])
    assert ledger.hourly.billed_usd.tolist() == [0.0, 101.0, 1.0]
    assert ledger.hourly.effective_usd.tolist() == [0.0, 2.0, 2.0]


def test_months_are_calendar_months_in_utc() -> None:
    """Otherwise the budget's months would not be the bill's."""
    usage = Usage(datetime(2026, 12, 31, 22, tzinfo=UTC), ("a",), np.ones((4, 1)))
    ledger = settle(usage, Rates(np.array([1.0])))
    assert [str(month) for month in ledger.months] == ["2026-12", "2027-01"]
    assert ledger.monthly.billed_usd.tolist() == [2.0, 2.0]


def test_spot_is_charged_at_its_price_with_what_interruptions_add() -> None:
    """Otherwise spot looks cheaper than it is, or a commitment covers it."""
    usage = Usage(NEW_YEAR, ("a", "a"), np.array([[1.0, 10.0]]), kinds=("on_demand", "spot"))
    rates = Rates(np.array([1.0, 1.0]), spot_usd_per_hour=np.array([np.nan, 0.3]), spot_overhead=0.1)
    ledger = settle(usage, rates, [Reservation("ri", "a", 5, 0.6, 0, 10)])
    assert ledger.total.billed_usd == pytest.approx([5 * 0.6 + 11 * 0.3])
    assert ledger.total.list_usd == pytest.approx([1.0 + 11.0])
    assert ledger.coverage.used.tolist() == [[1.0]]


def test_requests_are_units_times_their_price() -> None:
    """Otherwise a per-request API could not stand beside a fleet."""
    usage = Usage(NEW_YEAR, ("api", "a"), np.array([[2_000.0, 1.0]]), kinds=("serverless", "on_demand"))
    ledger = settle(usage, Rates(np.array([0.002, 1.0])))
    assert ledger.total.billed_usd == pytest.approx([5.0])


def test_a_capacity_block_is_charged_used_or_not_and_takes_no_discount() -> None:
    """Otherwise a guarantee of capacity would be taken for a discount."""
    block = CapacityGuarantee("block", "a", 4, 0, 2, usd_per_hour=2.0)
    usage = Usage(NEW_YEAR, ("a",), np.array([[6.0], [1.0]]))
    ledger = settle(usage, Rates(np.array([1.0])), [Reservation("ri", "a", 1, 0.5, 0, 2)], [block])
    assert ledger.hourly.billed_usd.tolist() == [16.0 + 0.5 + 1.0, 0.5]
    assert ledger.hourly.effective_usd.tolist() == [8.0 + 0.5 + 1.0, 8.0 + 0.5]
    assert ledger.coverage.used[:, 0].tolist() == [1.0, 0.0]


def test_reserved_capacity_that_stands_idle_costs_the_on_demand_price() -> None:
    """AWS, Capacity Reservation pricing: 20 reserved and 15 running are charged as 15 running and 5 unused."""
    usage = Usage(NEW_YEAR, ("m4.large",), np.array([[15.0], [25.0]]))
    kept = CapacityGuarantee("odcr", "m4.large", 20, 0, 2)
    ledger = settle(usage, Rates(np.array([0.10])), guarantees=[kept])
    assert ledger.on_demand.tolist() == [[15.0, 5.0], [25.0, 0.0]]
    assert ledger.hourly.billed_usd == pytest.approx([2.0, 2.5])
    covered = settle(usage, Rates(np.array([0.10])), [Reservation("ri", "m4.large", 18, 0.06, 0, 2)], [kept])
    assert covered.coverage.covered[0].tolist() == [[15.0, 3.0], [18.0, 0.0]]


def test_reserved_capacity_without_a_price_is_named() -> None:
    """Otherwise idle capacity would be free."""
    usage = Usage(NEW_YEAR, ("a", "a"), np.ones((1, 2)), regions=("east", "west"))
    rates = Rates(np.ones(2))
    with pytest.raises(ValueError, match=r"odcr: no on-demand price of p5\.48xlarge in east"):
        settle(usage, rates, guarantees=[CapacityGuarantee("odcr", "p5.48xlarge", 1, 0, 1, region="east")])
    with pytest.raises(ValueError, match="odcr: region must be one of east, west"):
        settle(usage, rates, guarantees=[CapacityGuarantee("odcr", "a", 1, 0, 1)])


def test_tiers_are_by_the_month_and_for_what_is_bought_on_demand() -> None:
    """Otherwise a discount by spend is given for commitments, or across months."""
    usage = Usage(datetime(2026, 1, 31, 23, tzinfo=UTC), ("a",), np.array([[300.0], [100.0]]))
    rates = Rates(np.array([1.0]), tiers=DiscountTiers(((100, 0.5),)))
    ledger = settle(usage, rates)
    assert ledger.monthly.billed_usd.tolist() == [200.0, 100.0]
    assert ledger.monthly.list_usd.tolist() == [300.0, 100.0]
    assert ledger.monthly.contracted_usd.tolist() == [200.0, 100.0]


def test_savings_are_measured_against_the_contracted_price() -> None:
    """AWS compares with "your current On-Demand rates"; otherwise a plan covers what saves less."""
    plan = SpendCommitment("sp", 0.5, {"a": 0.5, "b": 0.5}, 0, 1)
    usage = Usage(NEW_YEAR, ("a", "b"), np.array([[1.0, 1.0]]))
    rates = Rates(np.array([2.0, 1.0]), contracted_usd_per_hour=np.array([0.6, 1.0]))
    assert settle(usage, rates, [plan]).coverage.covered[0, 0].tolist() == [0.0, 1.0]


def test_a_discount_agreed_for_all_leaves_what_commitments_cover() -> None:
    """A list price plays no part beside list and contracted cost."""
    plan = SpendCommitment("sp", 0.5, {"a": 0.5}, 0, 1)
    usage = Usage(NEW_YEAR, ("a",), np.array([[2.0]]))
    dear, cheap = (settle(usage, Rates(np.array([usd]), np.array([0.9])), [plan]) for usd in (1.0, 5.0))
    assert dear.total.effective_usd == cheap.total.effective_usd


def test_used_commitment_belongs_to_the_team_and_unused_to_nobody() -> None:
    """Otherwise a team pays for what another was meant to use."""
    usage = Usage(NEW_YEAR, ("a", "a"), np.array([[1.0, 0.0], [1.0, 2.0]]), tags=({"team": "x"}, {"team": "y"}))
    by_team = by_tag(settle(usage, Rates(np.ones(2)), [Reservation("ri", "a", 3, 0.5, 0, 2)]), "team")
    assert {team: totals.effective_usd.tolist() for team, totals in by_team.items()} == {
        UNALLOCATED: [1.0],
        "x": [1.0],
        "y": [1.0],
    }


def test_later_dollars_are_worth_less() -> None:
    """Otherwise all upfront always looks best: at 10% a year, half its saving is the cost of capital."""
    plan = Reservation("ri", "a", 1, 0.5, 0, 8_760)
    monthly = one_type([1.0] * 8_760, [plan])
    upfront = one_type([1.0] * 8_760, [replace(plan, upfront_usd=0.5 * 8_760)])
    assert monthly.total.billed_usd == pytest.approx(upfront.total.billed_usd)
    assert upfront.present_value_usd(0.10) == pytest.approx(4_380.0)
    assert monthly.present_value_usd(0.10) == pytest.approx(4_380.0 * (1 - 1 / 1.1) / math.log(1.1), rel=1e-5)
    assert monthly.present_value_usd(0.0) == pytest.approx(4_380.0)


def test_every_missing_price_is_named_at_once() -> None:
    """Otherwise a rate that is missing is guessed, or found one at a time."""
    kinds: tuple[UsageKind, ...] = ("on_demand", "on_demand", "spot")
    usage = Usage(NEW_YEAR, ("a", "b", "c"), np.ones((1, 3)), regions=("east",) * 3, kinds=kinds)
    problem = r"list_usd_per_hour of a in east .* got 0\.0; .*b in east .* spot_usd_per_hour of c"
    with pytest.raises(ValueError, match=problem):
        settle(usage, Rates(np.array([0.0, np.nan, 1.0])))


def test_a_regional_commitment_needs_usage_of_known_region() -> None:
    """Otherwise it would be billed as unused, or cover what it may not."""
    usage = Usage(NEW_YEAR, ("a",), np.ones((1, 1)))
    with pytest.raises(ValueError, match="ri: is for east, and the usage of a names no region"):
        settle(usage, Rates(np.ones(1)), [Reservation("ri", "a", 1, 0.5, 0, 1, region="east")])


def test_names_are_unique() -> None:
    """Otherwise two commitments are one in every table."""
    usage = Usage(NEW_YEAR, ("a",), np.ones((1, 1)))
    plan = Reservation("ri", "a", 1, 0.5, 0, 1)
    with pytest.raises(ValueError, match="ri: every commitment and guarantee must have a name of its own"):
        settle(usage, Rates(np.ones(1)), [plan, replace(plan, units=2)])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"start": datetime(2026, 1, 1)}, "UTC"),
        ({"start": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "UTC"),
        ({"start": datetime(2026, 1, 1, 0, 30, tzinfo=UTC)}, "hour in UTC"),
        ({"instances": np.ones((2, 3))}, "shape"),
        ({"instances": np.ones((0, 1))}, "at least one hour"),
        ({"instances": -np.ones((2, 1))}, "0 or greater"),
        ({"regions": ("a", "b")}, "regions"),
        ({"kinds": ("rented",)}, "kinds must be among"),
    ],
)
def test_usage_that_cannot_be_billed_is_refused(changes: dict[str, object], problem: str) -> None:
    """Otherwise hours of another time zone, or columns without a meaning, are billed."""
    given_usage: dict[str, object] = {"start": NEW_YEAR, "instance_types": ("a",), "instances": np.ones((2, 1))}
    with pytest.raises(ValueError, match=problem):
        Usage(**{**given_usage, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"units": -1}, {"term_h": 0}, {"usd_per_hour": 0.0}, {"usd_per_hour": float("nan")}]
)
def test_a_guarantee_that_cannot_be_billed_is_refused(changes: dict[str, float]) -> None:
    """Otherwise a block of machines would be free."""
    sound: dict[str, object] = {"name": "block", "instance_type": "a", "units": 1, "start_h": 0, "term_h": 1}
    with pytest.raises(ValueError, match="block: "):
        CapacityGuarantee(**{**sound, **changes})  # type: ignore[arg-type]


def test_payments_of_a_term_are_its_price() -> None:
    """Otherwise upfront and recurring parts would not be the whole commitment."""
    for promise in (
        Reservation("ri", "a", 3, 0.6, 0, 100, upfront_usd=30.0),
        SpendCommitment("sp", 2.0, {}, 0, 100, upfront_share=0.25),
    ):
        amount = promise.units if isinstance(promise, Reservation) else promise.usd_per_hour
        price = amount * unit_usd(promise) * 100
        assert upfront_usd(promise) + price * recurring_share(promise) == pytest.approx(price)


def test_a_ledger_of_nothing_has_no_lines() -> None:
    """Otherwise a bill of zeros would be written out."""
    assert len(itemise(one_type([0.0], []))) == 0
    assert isinstance(itemise(one_type([0.0], [])), Lines)

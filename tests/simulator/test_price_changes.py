"""Price histories: what moved is counted, what is an error of the list is named, and a cut takes from the saving."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.problems import InputError
from simulator.price_changes import KNOWN_CUTS, PriceMoves, cut_rate, outcome_of_cut, price_moves
from simulator.price_history import Listing, load_price_history

GCP = Path(__file__).resolve().parents[2] / "../shared/data/gcp_price_history.csv"
WIDE = "date,region,machine_type,on_demand_hour,spot_hour,cud_1y_hour"


def moves_of(tmp_path: Path, *rows: str, header: str = WIDE) -> dict[str, PriceMoves]:
    path = tmp_path / "history.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return {moves.listing.price_type: moves for moves in price_moves(load_price_history(path))}


def problems_of(tmp_path: Path, *rows: str, header: str = WIDE) -> list[str]:
    with pytest.raises(InputError) as caught:
        moves_of(tmp_path, *rows, header=header)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_rises_and_cuts_are_counted_and_rounding_is_not(tmp_path: Path) -> None:
    rows = ["2024-01-01,r,m,1.0,,", "2024-07-01,r,m,0.9999,,", "2025-01-01,r,m,0.5,,", "2026-01-01,r,m,0.75,,"]
    moves = moves_of(tmp_path, *rows)["on_demand"]
    assert [(dt.date(2025, 1, 1), -0.49995), (dt.date(2026, 1, 1), 0.5)] == [
        (move.day, pytest.approx(move.share, abs=1e-6)) for move in moves.moves
    ]
    assert (1, pytest.approx(0.49995), 4) == (len(moves.cuts), moves.deepest_cut, moves.snapshots)
    assert pytest.approx((0.50005 * 1.5) ** (365.25 / 731) - 1) == moves.change_per_year
    assert "0.5 to 1 USD/h, 2 changes, 1 of them cuts (deepest -50%)" in moves.describe()


def test_a_price_list_with_several_dates_is_a_history(tmp_path: Path) -> None:
    header = "provider,region,instance_type,price_type,usd_per_hour,as_of,source"
    rows = [f"aws,us-east-1,p5.48xlarge,On-Demand,{usd},{day},list" for usd, day in ((98.32, "2024"), (55.04, "2026"))]
    moves = moves_of(tmp_path, *rows, header=header)["on_demand"]
    assert pytest.approx(KNOWN_CUTS[0].share) == moves.deepest_cut


def test_a_promise_that_costs_as_much_as_no_promise_is_no_price(tmp_path: Path) -> None:
    """Google's list of 2023 has such rows; read as prices, the promise would seem to have tripled."""
    rows = ["2022-01-01,r,m,3.0,,1.0", "2022-06-01,r,m,3.0,,3.0", "2023-06-01,r,m,3.0,,1.0"]
    moves = moves_of(tmp_path, *rows)["cud_1y"]
    assert ((), ("1 days from 2022-06-01 on: committed price not below the on-demand price",)) == (
        moves.moves,
        moves.left_out,
    )


def test_a_step_beyond_belief_is_named_and_counts_as_no_change(tmp_path: Path) -> None:
    moves = moves_of(tmp_path, "2022-01-01,r,m,,0.04,", "2023-01-01,r,m,,0.17,", "2024-01-01,r,m,,0.16,")["spot"]
    assert ("2023-01-01: 0.04 to 0.17 USD/h is no plausible step",) == moves.left_out
    assert 1 == len(moves.moves)
    assert pytest.approx(-0.03, abs=0.001) == moves.change_per_year


def test_bad_cells_are_all_told_with_their_places(tmp_path: Path) -> None:
    rows = ["yesterday,r,m,1,,", "2024-01-01,r,,1,,", "2024-01-01,r,m,700.0,-1,", "2024-01-02,r,m,1,,"]
    said = problems_of(tmp_path, *rows, "2024-01-02,r,m,2,,")
    assert "history.csv:2:1: date: must be an ISO date, got yesterday. Write it as 2026-01-19." == said[0]
    assert "history.csv:3:14: machine_type: must name the machine. Write its instance type." == said[1]
    assert 'on_demand_hour: the price of m must be a real one: 700 stands for "not offered"' in said[2]
    assert "spot_hour: the price of m must be greater than 0, got -1." in said[3]
    assert "the on_demand price of m on 2024-01-02 must be stated once, also 1, got 2." in said[4]


def test_a_table_that_is_no_history_says_which_columns_it_needs(tmp_path: Path) -> None:
    assert "must have the columns provider, instance_type, price_type" in problems_of(tmp_path, "1,2", header="a,b")[0]
    assert "must have the columns date, instance_type" in problems_of(tmp_path, "1", header="on_demand_hour")[0]
    assert "must hold a price" in problems_of(tmp_path, "2024-01-01,r,m,,,")[0]


def test_no_cut_in_few_years_does_not_rule_cuts_out(tmp_path: Path) -> None:
    """The rule of three: no event in n years leaves up to 3/n a year at 95 %."""
    moves = moves_of(tmp_path, "2024-01-01,r,m,1,,", "2026-01-01,r,m,1,,")
    rate = cut_rate(moves.values())
    assert (0, 0.0, 0.0) == (rate.cuts, rate.deepest, rate.per_year)
    assert pytest.approx(2.996 / rate.price_years, abs=0.001) == rate.per_year_upper
    with pytest.raises(ValueError, match="price_type must be one whose price was seen on two days at least, got spot"):
        cut_rate(moves.values(), "spot")


def test_googles_history_moves_as_its_table_says() -> None:
    """Figures of the project's notes: spot of g2-standard-4 from .212 to .397, of a3-highgpu-8g from 20.4 to 62.5."""
    if not GCP.exists():
        pytest.skip("../shared/data/gcp_price_history.csv is absent")
    moves = {move.listing: move for move in price_moves(load_price_history(GCP))}
    assert () == moves[Listing("g2-standard-4", "us-central1", "on_demand")].moves
    spot = moves[Listing("g2-standard-4", "us-central1", "spot")]
    assert (0.212, 0.397, 14) == (round(spot.low_usd_per_hour, 3), round(spot.high_usd_per_hour, 3), len(spot.moves))
    wild = moves[Listing("a3-highgpu-8g", "us-central1", "spot")]
    assert (20.4, 62.5) == (round(wild.low_usd_per_hour, 1), round(wild.high_usd_per_hour, 1))
    assert "committed price not below" in moves[Listing("a2-ultragpu-1g", "us-central1", "cud_3y")].left_out[0]
    rate = cut_rate(moves.values())
    assert (9, 0.12) == (rate.cuts, round(rate.deepest, 2))
    assert 0.1 < rate.per_year < rate.per_year_upper < 0.25


# --- what a cut takes ---------------------------------------------------------------------------------------------


def test_the_cut_of_the_p5_takes_what_it_takes() -> None:
    """By hand: 26,280 h at 98.32, promised at 45 %, cut by 44 % for the second half."""
    outcome = outcome_of_cut(44.244, 98.32, 26_280, cut=0.44, month=18)
    assert pytest.approx(44.244 * 26_280) == outcome.paid_usd
    assert pytest.approx((98.32 - 44.244) * 26_280) == outcome.saved_without_cut_usd
    assert pytest.approx(0.44 * 98.32 * 13_140) == outcome.lost_usd
    assert pytest.approx((98.32 - 44.244) * 13_140 + (98.32 * 0.56 - 44.244) * 13_140) == outcome.saved_usd
    assert 0.0 == outcome.overpaid_usd  # 98.32 x 0.56 = 55.06 is still above 44.244
    assert outcome.break_even_cut is None  # 1.1 would be needed: no cut could use the saving up


def test_a_promise_at_four_fifths_loses_money_when_the_price_is_cut_by_a_third() -> None:
    outcome = outcome_of_cut(0.8, 1.0, 8_760, cut=0.33, month=0)
    assert pytest.approx((-0.13 * 8_760, 0.13 * 8_760, 0.2)) == (
        outcome.saved_usd, outcome.overpaid_usd, outcome.break_even_cut,
    )  # fmt: skip


@given(
    ratio=st.floats(0.2, 0.99),
    cut=st.floats(0.0, 0.95),
    month=st.floats(0.0, 48.0),
    used=st.floats(0.0, 1.0),
    years=st.sampled_from((1, 3)),
)
def test_what_is_saved_is_what_was_saved_less_what_the_cut_took(
    ratio: float, cut: float, month: float, used: float, years: int
) -> None:
    """A later cut takes less, a deeper one more, and the break-even cut leaves nothing."""
    term_h = years * 8_760
    outcome = outcome_of_cut(ratio, 1.0, term_h, cut=cut, month=month, utilisation=used)
    assert pytest.approx(outcome.saved_without_cut_usd - outcome.lost_usd) == outcome.saved_usd
    assert outcome.lost_usd >= outcome_of_cut(ratio, 1.0, term_h, cut=cut, month=month + 1, utilisation=used).lost_usd
    assert outcome.lost_usd >= outcome_of_cut(ratio, 1.0, term_h, cut=cut / 2, month=month, utilisation=used).lost_usd
    even = outcome.break_even_cut
    if even is not None:
        left = outcome_of_cut(ratio, 1.0, term_h, cut=even, month=month, utilisation=used).saved_usd
        assert pytest.approx(0.0, abs=1e-6) == left
    if month * 730 >= term_h:
        assert (0.0, None) == (outcome.lost_usd, even)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"usd_per_hour": 0.0}, "usd_per_hour must be greater than 0, got 0.0"),
        ({"cut": 1.0}, "cut is outside its range, got 1.0"),
        ({"month": -1.0}, "month is outside its range"),
        ({"utilisation": 1.1}, "utilisation is outside its range"),
    ],
)
def test_an_impossible_cut_is_refused(changes: dict[str, float], says: str) -> None:
    values = {"usd_per_hour": 0.5, "on_demand_usd_per_hour": 1.0, "term_h": 8_760, "cut": 0.3, "month": 1.0}
    with pytest.raises(ValueError, match=says):
        outcome_of_cut(**(values | changes))  # type: ignore[arg-type]

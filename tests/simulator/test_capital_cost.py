"""Laws of money over time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.capital_cost import annuity, levelised_usd_per_hour, present_value_usd


@given(st.floats(0.001, 0.5), st.integers(1, 30))
def test_an_annuity_pays_a_dollar_back(annual_rate: float, years: int) -> None:
    """Otherwise payments of the annuity at each year's end would not be worth the dollar that was lent."""
    worth = sum(annuity(annual_rate, years) / (1 + annual_rate) ** year for year in range(1, years + 1))
    assert worth == pytest.approx(1.0)
    assert annuity(annual_rate, years) > annuity(0.0, years) == 1 / years


def test_an_upfront_payment_costs_more_than_its_share_of_the_term() -> None:
    """Otherwise the price of a commitment hides what the money could have earned."""
    assert levelised_usd_per_hour(8_760.0, 0.1, 8_760, 0.0) == pytest.approx(1.1)
    assert levelised_usd_per_hour(8_760.0, 0.1, 8_760, 0.08) == pytest.approx(1.18)
    assert present_value_usd([], 0.1) == 0.0


@pytest.mark.parametrize(("annual_rate", "years"), [(-1.0, 1.0), (float("nan"), 1.0), (0.1, 0.0), (0.1, -1.0)])
def test_rates_and_terms_without_a_meaning_are_refused(annual_rate: float, years: float) -> None:
    """Otherwise a payment would be worth infinity, or nothing."""
    with pytest.raises(ValueError, match="must be"):
        annuity(annual_rate, years)

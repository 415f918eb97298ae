"""Laws of negotiated discounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.discount_tiers import DiscountTiers


@given(st.floats(0, 1e6), st.booleans())
def test_tiers_never_charge_more_than_the_spend(spend: float, whole: bool) -> None:
    """Otherwise a discount could raise a bill; marginal tiers never make spending more cheaper."""
    tiers = DiscountTiers(((0, 0.05), (1_000, 0.10), (50_000, 0.20)), whole)
    assert 0.8 * spend - 1e-6 <= tiers.charged_usd(spend) <= spend
    if not whole:
        assert tiers.charged_usd(spend + 1) >= tiers.charged_usd(spend)


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        (((0, 1.0),), "below 1"),
        (((0, -0.1),), "at least 0"),
        (((10, 0.1), (5, 0.2)), "increasing"),
        (((10, 0.1), (10, 0.2)), "increasing"),
        (((float("nan"), 0.1),), "increasing"),
    ],
)
def test_tiers_that_contradict_themselves_are_refused(tiers: tuple[tuple[float, float], ...], problem: str) -> None:
    """Otherwise the order of lines in an agreement would decide the bill."""
    with pytest.raises(ValueError, match=problem):
        DiscountTiers(tiers)

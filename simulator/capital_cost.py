"""What does paying early cost? Annuities and present values, for payments upfront."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simulator.purchase_plan import HOURS_PER_YEAR


def annuity(annual_rate: float, years: float) -> float:
    """What is paid back each year for a dollar borrowed now, over these years?

    Notes
    -----
    ``r / (1 - (1 + r)**-n)``, and ``1 / n`` where the rate is 0 (PyPSA, ``pypsa/costs.py``; any text on engineering
    economics). Payments are at the end of each year.

    Raises
    ------
    ValueError
        The rate is -1 or lower or not finite, or the years are not above 0.

    Examples
    --------
    >>> round(annuity(0.07, 20), 6)
    0.094393
    >>> annuity(0.0, 4)
    0.25
    """
    _check_rate(annual_rate)
    if not (math.isfinite(years) and years > 0):
        raise ValueError(f"years must be greater than 0, got {years}")
    return annual_rate / -math.expm1(-years * math.log1p(annual_rate)) if annual_rate else 1 / years


def levelised_usd_per_hour(upfront_usd: float, recurring_usd_per_hour: float, term_h: int, annual_rate: float) -> float:
    """What does an hour of a commitment cost once its upfront payment bears interest?

    Notes
    -----
    ``(upfront annuity(r, n) + recurring) / h`` with n years of 8,760 hours.

    Examples
    --------
    5,000 dollars at once for a year of 8,760 hours, with money at 8% a year:

    >>> round(levelised_usd_per_hour(5_000.0, 0.0, 8_760, 0.08), 6)
    0.616438
    """
    years = term_h / HOURS_PER_YEAR
    return upfront_usd * annuity(annual_rate, years) / HOURS_PER_YEAR + recurring_usd_per_hour


def present_value_usd(hourly_usd: npt.ArrayLike, annual_rate: float) -> float:
    """What are these payments worth in the first hour?

    Parameters
    ----------
    hourly_usd : (T,) float64
        What is paid at the start of each hour.
    annual_rate
        Cost of capital a year: 0.08 for 8%.

    Notes
    -----
    ``sum_t usd_t (1 + r)**(-t / 8760)``.

    Examples
    --------
    A dollar now and a dollar in a year, at 25%:

    >>> round(present_value_usd([1.0] + [0.0] * 8_759 + [1.0], 0.25), 6)
    1.8
    """
    _check_rate(annual_rate)
    paid = np.asarray(hourly_usd, dtype=np.float64)
    years = np.arange(len(paid)) / HOURS_PER_YEAR
    return float((paid * np.exp(-math.log1p(annual_rate) * years)).sum())


def _check_rate(annual_rate: float) -> None:
    if not (math.isfinite(annual_rate) and annual_rate > -1):
        raise ValueError(f"annual_rate must be a finite number above -1, got {annual_rate}")

"""What queueing theory says exactly, to hold the engines to: closed forms for the queues that have one.

Symbols, as in the literature: ``lam`` arrivals per unit of time (Poisson), ``mu`` completions per unit of time of one
busy server, ``c`` servers, ``rho`` the utilisation, ``b`` the largest batch. Wait is the time before service begins,
sojourn the time until it ends. Any unit of time will do: rates per second give seconds.

Every queue here is first come, first served, in steady state; a load of 1 or more has none and is refused.
"""

from __future__ import annotations

import decimal
import math

import numpy as np
import numpy.typing as npt


def little_number(rate: float, time: float) -> float:
    """How many are in a system, on average, that they enter at this rate and leave after this time?

    J. D. C. Little (1961), "A proof for the queuing formula: L = lambda W", Operations Research 9(3), 383-387.

    >>> little_number(rate=900.0, time=0.02)
    18.0
    """
    return rate * time


def mm1_mean_wait(lam: float, mu: float) -> float:
    """Mean wait of M/M/1: rho / (mu - lam). L. Kleinrock (1975), Queueing Systems I, section 3.2.

    >>> mm1_mean_wait(lam=0.75, mu=1.0)
    3.0
    """
    rho = _utilisation(lam, mu)
    return rho / (mu - lam)


def mm1_mean_sojourn(lam: float, mu: float) -> float:
    """Mean sojourn of M/M/1: 1 / (mu - lam). Kleinrock (1975), equation 3.26.

    >>> mm1_mean_sojourn(lam=0.75, mu=1.0)
    4.0
    """
    _utilisation(lam, mu)
    return 1 / (mu - lam)


def mm1_sojourn_quantile(p: float, lam: float, mu: float) -> float:
    """p-quantile of the sojourn in M/M/1, which is exponential: -ln(1 - p) / (mu - lam). Kleinrock (1975), 5.9.

    >>> round(mm1_sojourn_quantile(0.99, lam=0.8, mu=1.0), 4)
    23.0259
    """
    _utilisation(lam, mu)
    return -math.log1p(-p) / (mu - lam)


def erlang_b(c: int, load: float) -> float:
    """Share of arrivals that find all of ``c`` servers busy when nobody waits (M/M/c/c), at ``load`` = lam / mu.

    By the recursion B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)): A. K. Erlang (1917); R. B. Cooper (1981),
    Introduction to Queueing Theory, section 3.3.

    >>> erlang_b(2, 1.0)
    0.2
    """
    blocked = 1.0
    for k in range(1, c + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def erlang_c(c: int, load: float) -> float:
    """Share of arrivals that must wait in M/M/c, at ``load`` = lam / mu: c B / (c - a (1 - B)), B of Erlang.

    A. K. Erlang (1917); Kleinrock (1975), equation 3.41; Cooper (1981), section 3.4.

    >>> round(erlang_c(2, 1.5), 6)  # 2 rho^2 / (1 + rho) at rho = 0.75
    0.642857
    """
    _utilisation(load, c)
    blocked = erlang_b(c, load)
    return c * blocked / (c - load * (1 - blocked))


def mmc_mean_wait(lam: float, mu: float, c: int) -> float:
    """Mean wait of M/M/c: C / (c mu - lam), C the share that must wait. Gross et al. (2008), section 2.3.

    >>> round(mmc_mean_wait(lam=1.5, mu=1.0, c=2), 6)
    1.285714
    """
    return erlang_c(c, lam / mu) / (c * mu - lam)


def mmc_wait_quantile(p: float, lam: float, mu: float, c: int) -> float:
    """p-quantile of the wait in M/M/c, where P(wait > t) = C exp(-(c mu - lam) t); 0 when 1 - p of them wait or fewer.

    Gross, Shortle, Thompson and Harris (2008), Fundamentals of Queueing Theory, section 2.3.

    >>> round(mmc_wait_quantile(0.99, lam=1.5, mu=1.0, c=2), 4), mmc_wait_quantile(0.3, lam=1.5, mu=1.0, c=2)
    (8.3267, 0.0)
    """
    waits = erlang_c(c, lam / mu)
    return 0.0 if waits <= 1 - p else math.log(waits / (1 - p)) / (c * mu - lam)


def mmck_loss(lam: float, mu: float, c: int, places: int) -> float:
    """Share of arrivals rejected by M/M/c/K: ``c`` servers and ``places`` to wait, any load.

    The load-loss ratio continues Erlang's recursion with c servers busy: with a = lam / mu and x = a / c,
    p(c + j) = p(c) x^j, so the share is x^places B / (1 + B (x + x^2 + ... + x^places)), B = B(c, a).
    Gross et al. (2008), section 2.5.

    >>> mmck_loss(lam=1.0, mu=1.0, c=1, places=3)  # the five states 0 to 4 are equally likely
    0.2
    """
    blocked, ratio = erlang_b(c, lam / mu), lam / (c * mu)
    queue = math.fsum(ratio**j for j in range(1, places + 1))
    return ratio**places * blocked / (1 + blocked * queue)


def mg1_mean_wait(lam: float, mean: float, scv: float) -> float:
    """Mean wait of M/G/1: lam E[S^2] / (2 (1 - rho)), ``scv`` the squared coefficient of variation of the service.

    Pollaczek (1930) and Khinchine (1932): Kleinrock (1975), section 5.6.

    >>> round(mg1_mean_wait(lam=0.8, mean=1.0, scv=1.0), 9), round(mg1_mean_wait(lam=0.8, mean=1.0, scv=0.0), 9)
    (4.0, 2.0)
    """
    rho = _utilisation(lam, 1 / mean)
    return lam * mean**2 * (1 + scv) / (2 * (1 - rho))


def md1_mean_wait(lam: float, service: float) -> float:
    """Mean wait of M/D/1, half that of M/M/1: rho D / (2 (1 - rho)). Kleinrock (1975), section 5.6.

    >>> md1_mean_wait(lam=0.5, service=1.0)
    0.5
    """
    return mg1_mean_wait(lam, service, scv=0.0)


def md1_wait_cdf(time: float, lam: float, service: float) -> float:
    """Share of the requests of M/D/1 that wait at most ``time``.

    Notes
    -----
    P(W <= t) = (1 - rho) sum over k = 0 ... floor(t / D) of (lam (k D - t))^k / k! exp(-lam (k D - t)).
    The terms alternate and cancel, so they are added in decimals: enough digits for the largest term and 25 more.

    References
    ----------
    A. K. Erlang (1909); C. D. Crommelin (1932), P.O. Electrical Engineers' Journal 25, 41-50.

    >>> md1_wait_cdf(0.0, lam=0.5, service=1.0), round(md1_wait_cdf(1.0, lam=0.5, service=1.0), 6)
    (0.5, 0.824361)
    """
    rho = _utilisation(lam, 1 / service)
    if time < 0:
        return 0.0
    with decimal.localcontext() as context:
        context.prec = 40 + int(lam * time)
        rate, wait, step = decimal.Decimal(lam), decimal.Decimal(time), decimal.Decimal(service)
        total, factorial = decimal.Decimal(0), decimal.Decimal(1)
        for k in range(int(wait // step) + 1):
            factorial *= max(k, 1)
            exponent = rate * (k * step - wait)
            total += (exponent**k if k else 1) / factorial * (-exponent).exp()
        return float(total * (1 - decimal.Decimal(rho)))


def md1_wait_quantile(p: float, lam: float, service: float) -> float:
    """p-quantile of the wait in M/D/1, by bisection of its distribution; the sojourn's is longer by the service.

    >>> round(md1_wait_quantile(0.99, lam=0.8, service=1.0), 4)
    10.3559
    """
    low, high = 0.0, service
    if md1_wait_cdf(low, lam, service) >= p:
        return 0.0
    while md1_wait_cdf(high, lam, service) < p:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if md1_wait_cdf(middle, lam, service) < p else (low, middle)
    return high


def bulk_mm1_root(lam: float, mu: float, b: int) -> float:
    """The root r in (0, 1) of mu r^(b+1) - (lam + mu) r + lam = 0, on which all of M/M^[1,b]/1 rests.

    The server takes min(waiting, b) requests at once as soon as it is free and anyone waits; the batch's service is
    exponential with rate mu whatever its size, and nobody joins it on the way. While the server is busy,
    P(n wait) = P(0 wait) r^n. With b = 1 the root is rho.

    M. F. Neuts (1967), "A general class of bulk queues with Poisson input", Annals of Mathematical Statistics 38(3),
    759-770; J. Medhi (2003), Stochastic Models in Queueing Theory, section 4.3 (the rule with a = 1).

    >>> round(bulk_mm1_root(lam=0.75, mu=1.0, b=2), 9)  # r^2 + r = 0.75
    0.5
    """
    _utilisation(lam, b * mu)
    # Divided by r - 1, the equation reads mu (r + r^2 + ... + r^b) = lam, the left side of which only grows.
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mu * sum(middle**k for k in range(1, b + 1)) < lam else (low, middle)
    return (low + high) / 2


def bulk_mm1_mean_wait(lam: float, mu: float, b: int) -> float:
    """Mean wait of M/M^[1,b]/1 (see :func:`bulk_mm1_root`): P(wait) / (mu (1 - r^b)).

    >>> round(bulk_mm1_mean_wait(lam=0.75, mu=1.0, b=2), 6)
    0.8
    """
    r = bulk_mm1_root(lam, mu, b)
    return _bulk_mm1_waits(lam, mu, r) / (mu * (1 - r**b))


def bulk_mm1_wait_quantile(p: float, lam: float, mu: float, b: int) -> float:
    """p-quantile of the wait in M/M^[1,b]/1, where P(wait > t) = P(wait) exp(-mu (1 - r^b) t).

    Whoever arrives to find n waiting and the server busy waits for floor(n / b) + 1 completions. As P(n) falls
    geometrically with r, that number is geometric with r^b, and a geometric number of exponential times is exponential.

    >>> round(bulk_mm1_wait_quantile(0.99, lam=0.75, mu=1.0, b=2), 4)
    5.4591
    """
    r = bulk_mm1_root(lam, mu, b)
    waits = _bulk_mm1_waits(lam, mu, r)
    return 0.0 if waits <= 1 - p else math.log(waits / (1 - p)) / (mu * (1 - r**b))


def _bulk_mm1_waits(lam: float, mu: float, r: float) -> float:
    """Share that must wait: the server is busy. P(idle) = P(busy, 0 wait) mu / lam; all of it adds up to 1."""
    busy = 1 / (1 - r)
    return busy / (mu / lam + busy)


def bulk_mg1_mean_wait(lam: float, mean: float, scv: float, b: int) -> float:
    """Mean wait of M/G^[1,b]/1, the batch's service gamma distributed; ``scv`` 0 is constant, 1 exponential.

    The rule is that of :func:`bulk_mm1_root`; the mean sojourn is longer by ``mean``, the mean number in the system
    lam times that (:func:`little_number`).

    Notes
    -----
    The number W that a batch leaves behind as its service starts follows W' = max(W + A - b, 0), A the arrivals during
    a service, with generating function A(z) and mean m = lam E[S] < b. With z_k the b - 1 roots of z^b = A(z) inside
    the unit circle, E[W] = sum 1 / (1 - z_k) - (b (b - 1) - A''(1)) / (2 (b - m)), A''(1) = lam^2 E[S^2]. A service
    ends with nobody waiting with probability P0 = (b - m) product z_k / (z_k - 1), and an idle time of 1 / lam follows:
    the server is busy for B = E[S] / (E[S] + P0 / lam) of the time. While it is, W and the arrivals since the
    service began wait, so the mean queue is B (E[W] + lam E[S^2] / (2 E[S])), and the mean wait that over lam.

    References
    ----------
    N. T. J. Bailey (1954), "On queueing processes with bulk service", J. Royal Statistical Society B 16(1), 80-87;
    F. Downton (1955), "Waiting time in bulk service queues", the same 17(2), 256-261; Neuts (1967).

    >>> round(bulk_mg1_mean_wait(lam=0.8, mean=1.0, scv=0.0, b=1), 9)  # M/D/1
    2.0
    >>> round(bulk_mg1_mean_wait(lam=0.75, mean=1.0, scv=1.0, b=2), 9)  # M/M^[1,2]/1
    0.8
    """
    _utilisation(lam, b / mean)
    m = lam * mean
    roots = _bulk_roots(m, scv, b)
    second_moment = mean**2 * (1 + scv)
    left_behind = np.sum(1 / (1 - roots)).real - (b * (b - 1) - lam**2 * second_moment) / (2 * (b - m))
    ends_empty = (b - m) * np.prod(roots / (roots - 1)).real
    busy = mean / (mean + ends_empty / lam)
    return float(busy * (left_behind + lam * second_moment / (2 * mean)) / lam)


def _bulk_roots(m: float, scv: float, b: int) -> npt.NDArray[np.complex128]:
    """The b - 1 roots of z^b = A(z) inside the unit circle other than 1, A of Poisson arrivals in a gamma service.

    Each solves z = w A(z)^(1/b) for its own b-th root of unity w. The right side shrinks distances by m / b < 1 or
    more (A(z)^(1/b) is itself a generating function, of mean m / b), so iterating it converges.
    """
    unity = np.exp(2j * np.pi * np.arange(1, b) / b)
    z: npt.NDArray[np.complex128] = np.zeros(b - 1, np.complex128)
    for _ in range(100_000):
        exponent = m * (z - 1)
        root = np.exp(exponent / b) if scv == 0 else (1 - scv * exponent) ** (-1 / (scv * b))
        z, before = unity * root, z
        if b == 1 or np.abs(z - before).max() < 1e-15:
            return z
    raise ArithmeticError(f"the roots of the bulk queue must converge, got m={m}, scv={scv}, b={b}.")


def _utilisation(lam: float, capacity: float) -> float:
    """Load as a share of capacity, which must leave some; ValueError otherwise."""
    rho = lam / capacity
    if not 0 < rho < 1:
        raise ValueError(f"a steady state needs 0 < load < capacity, got load {lam} of capacity {capacity}.")
    return rho

"""Are the closed forms right? Each is held to a chain solved by linear algebra, or to a Lindley recursion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from simulator import theory

Floats = npt.NDArray[np.float64]


def stationary(rates: Floats) -> Floats:
    """Stationary probabilities of a Markov chain, from its rates between different states; (n, n) to (n,)."""
    generator = rates - np.diag(rates.sum(axis=1))
    # One balance equation follows from the others; in its place the probabilities add up to 1.
    system = np.vstack([generator.T[:-1], np.ones(len(rates))])
    return np.linalg.solve(system, np.r_[np.zeros(len(rates) - 1), 1.0])


def birth_death(lam: float, mu: float, c: int, states: int) -> Floats:
    """Number in the system of M/M/c, cut off at ``states`` states."""
    rates = np.diag(np.full(states - 1, lam), 1)
    rates += np.diag(mu * np.minimum(np.arange(1, states), c), -1)
    return stationary(rates)


def lindley(gap: Floats, service: Floats) -> Floats:
    """Wait of each request of a single server: W(n+1) = max(W(n) + S(n) - T(n+1), 0), all at once."""
    walk = np.concatenate(([0.0], np.cumsum(service[:-1] - gap[1:])))
    return walk - np.minimum.accumulate(walk)


def bulk_waits(arrival: Floats, service: Floats, b: int) -> Floats:
    """Wait of each request when a free server takes up to ``b`` that wait, or else the next one to arrive."""
    wait, free, first, batch = np.empty(len(arrival)), 0.0, 0, 0
    while first < len(arrival):
        start = max(free, arrival[first])
        last = min(first + b, int(np.searchsorted(arrival, start, side="right")))
        wait[first:last] = start - arrival[first:last]
        free, first, batch = start + service[batch], last, batch + 1
    return wait


def bulk_chain_mean_wait(lam: float, mu: float, b: int, states: int = 400) -> float:
    """Mean wait of M/M^[1,b]/1 from its chain: state 0 idle, state 1 + n busy with n waiting."""
    rates = np.zeros((states + 1, states + 1))
    rates[0, 1] = lam
    for n in range(states):
        if n + 1 < states:
            rates[1 + n, 2 + n] = lam
        rates[1 + n, 0 if n == 0 else 1 + max(n - b, 0)] += mu
    return float(np.arange(states) @ stationary(rates)[1:]) / lam


@pytest.mark.parametrize(("c", "rho"), [(1, 0.5), (1, 0.9), (2, 0.75), (8, 0.85), (30, 0.9)])
def test_mmc_agrees_with_its_chain(c: int, rho: float) -> None:
    """Erlang's C or the mean wait is wrong."""
    lam, mu, states = rho * c * 2.0, 2.0, 600
    in_system = birth_death(lam, mu, c, states)

    assert pytest.approx(in_system[c:].sum(), rel=1e-8) == theory.erlang_c(c, lam / mu)
    waiting = np.maximum(np.arange(states) - c, 0) @ in_system
    assert pytest.approx(waiting, rel=1e-6) == theory.little_number(lam, theory.mmc_mean_wait(lam, mu, c))


def test_mmc_with_one_server_is_mm1() -> None:
    """The special case contradicts the general one."""
    assert pytest.approx(theory.mm1_mean_wait(0.7, 1.0)) == theory.mmc_mean_wait(0.7, 1.0, 1)
    assert pytest.approx(theory.mm1_mean_sojourn(0.7, 1.0)) == theory.mm1_mean_wait(0.7, 1.0) + 1.0


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_mmc_wait_quantile_agrees_with_waiting_for_completions(p: float) -> None:
    """The distribution of the wait is wrong: whoever finds c + n in the system waits for n + 1 completions."""
    lam, mu, c, states = 6.4, 1.0, 8, 400
    time = theory.mmc_wait_quantile(p, lam, mu, c)
    in_system = birth_death(lam, mu, c, states)
    done = c * mu * time
    # P(at most n completions in that time), n = 0, 1, ...: a sum of Poisson terms.
    term = np.exp(np.cumsum(np.r_[-done, np.log(done) - np.log(np.arange(1, states - c))])) if done else np.zeros(0)
    still_waiting = float(in_system[c:] @ np.cumsum(term)) if done else float(in_system[c:].sum())

    if time > 0:
        assert pytest.approx(1 - p, rel=1e-6) == still_waiting
    else:
        assert still_waiting <= 1 - p


@pytest.mark.parametrize(
    ("c", "load", "expected"),
    [(1, 1.0, 1 / 2), (2, 1.0, 1 / 5), (3, 2.0, 4 / 19), (4, 3.0, 27 / 131)],
)
def test_erlang_b_agrees_with_its_definition_by_hand(c: int, load: float, expected: float) -> None:
    """Erlang's loss formula a^c/c! over the sum of a^k/k!, worked out in fractions, comes out differently."""
    assert pytest.approx(expected) == theory.erlang_b(c, load)


@pytest.mark.parametrize(("lam", "c", "places"), [(0.8, 1, 4), (3.0, 2, 5), (2.0, 2, 0), (4.0, 4, 3)])
def test_mmck_loss_agrees_with_its_chain(lam: float, c: int, places: int) -> None:
    """The share rejected by a bounded queue is wrong, below, at, or above capacity."""
    assert pytest.approx(birth_death(lam, 1.0, c, c + places + 1)[-1]) == theory.mmck_loss(lam, 1.0, c, places)


@pytest.mark.parametrize("scv", [0.0, 0.25, 1.0, 4.0])
def test_mg1_mean_wait_agrees_with_a_lindley_recursion(scv: float) -> None:
    """Pollaczek and Khinchine's formula is misread."""
    random = np.random.default_rng(11)
    n, lam = 2_000_000, 0.6
    service = random.gamma(1 / scv, scv, n) if scv else np.ones(n)

    waits = lindley(random.exponential(1 / lam, n), service)

    assert pytest.approx(waits.mean(), rel=0.02) == theory.mg1_mean_wait(lam, 1.0, scv)


def test_md1_wait_distribution_agrees_with_a_lindley_recursion() -> None:
    """Erlang's series for constant service is wrong."""
    random = np.random.default_rng(5)
    n, lam = 2_000_000, 0.8
    waits = lindley(random.exponential(1 / lam, n), np.ones(n))

    for time in (0.0, 0.5, 1.0, 2.7, 6.0, 12.0):
        assert pytest.approx(np.mean(waits <= time), abs=0.004) == theory.md1_wait_cdf(time, lam, 1.0)
    for p in (0.5, 0.9, 0.99):
        assert pytest.approx(np.quantile(waits, p), rel=0.02) == theory.md1_wait_quantile(p, lam, 1.0)


def test_md1_mean_wait_is_the_integral_of_its_distribution() -> None:
    """The mean and the distribution of one queue contradict each other, or the series loses its digits in the tail."""
    lam, time = 0.8, np.linspace(0.0, 40.0, 801)
    late = np.array([1 - theory.md1_wait_cdf(t, lam, 1.0) for t in time])

    assert pytest.approx(theory.md1_mean_wait(lam, 1.0), rel=1e-3) == np.trapezoid(late, time)
    assert np.all(np.diff(late) <= 0)


@pytest.mark.parametrize("p", [0.3, 0.9, 0.999])
def test_md1_quantile_inverts_its_distribution(p: float) -> None:
    """A quantile is not where the distribution says."""
    time = theory.md1_wait_quantile(p, 0.7, 2 / 3)
    assert pytest.approx(max(p, 1 - 0.7 * 2 / 3)) == theory.md1_wait_cdf(time, 0.7, 2 / 3)


@pytest.mark.parametrize(("b", "rho"), [(1, 0.8), (2, 0.375), (4, 0.9), (16, 0.6), (8, 0.9)])
def test_bulk_service_with_exponential_batches_agrees_with_its_chain(b: int, rho: float) -> None:
    """The root, or what is built on it, is wrong."""
    lam, mu = rho * b * 3.0, 3.0
    expected = bulk_chain_mean_wait(lam, mu, b, states=900)
    assert pytest.approx(expected, rel=1e-5) == theory.bulk_mm1_mean_wait(lam, mu, b)


@pytest.mark.parametrize(("b", "rho"), [(1, 0.8), (2, 0.375), (4, 0.9), (16, 0.6), (64, 0.95)])
def test_bulk_service_by_one_root_and_by_all_roots_agree(b: int, rho: float) -> None:
    """Two derivations of the same queue contradict each other."""
    lam = rho * b / 2
    assert pytest.approx(theory.bulk_mm1_mean_wait(lam, 0.5, b)) == theory.bulk_mg1_mean_wait(lam, 2.0, 1.0, b)


@pytest.mark.parametrize("scv", [0.0, 0.3, 2.0])
def test_bulk_service_of_single_requests_is_pollaczek_and_khinchine(scv: float) -> None:
    """The general formula misses its simplest case."""
    assert pytest.approx(theory.mg1_mean_wait(0.7, 1.2, scv)) == theory.bulk_mg1_mean_wait(0.7, 1.2, scv, 1)


@pytest.mark.parametrize(("b", "rho", "scv"), [(4, 0.3, 0.0), (4, 0.8, 0.0), (8, 0.7, 0.5)])
def test_bulk_service_agrees_with_a_simulated_one(b: int, rho: float, scv: float) -> None:
    """The mean wait of a server that takes up to b requests at once is wrong."""
    random = np.random.default_rng(3)
    n = 300_000
    arrival = np.cumsum(random.exponential(1 / (rho * b), n))
    service = random.gamma(1 / scv, scv, n) if scv else np.ones(n)

    waits = bulk_waits(arrival, service, b)

    assert pytest.approx(waits.mean(), rel=0.02) == theory.bulk_mg1_mean_wait(rho * b, 1.0, scv, b)


def test_bulk_service_wait_quantile_agrees_with_a_simulated_one() -> None:
    """The distribution of the wait is not exponential beyond 0, as claimed."""
    random = np.random.default_rng(4)
    n, lam, b = 300_000, 3.0, 4
    waits = bulk_waits(np.cumsum(random.exponential(1 / lam, n)), random.exponential(1.0, n), b)

    for p in (0.1, 0.5, 0.9, 0.99):
        expected = theory.bulk_mm1_wait_quantile(p, lam, 1.0, b)
        assert pytest.approx(np.quantile(waits, p), rel=0.05) == expected


def test_mm1_sojourn_quantile_agrees_with_a_lindley_recursion() -> None:
    """The p99 that the coverage of our intervals is measured against is wrong."""
    random = np.random.default_rng(8)
    n = 2_000_000
    gap, service = random.exponential(1 / 0.7, n), random.exponential(1.0, n)

    expected = theory.mm1_sojourn_quantile(0.99, 0.7, 1.0)

    assert pytest.approx(np.quantile(lindley(gap, service) + service, 0.99), rel=0.03) == expected
    assert pytest.approx(math.log(100) / 0.3) == expected


@pytest.mark.parametrize("lam", [0.0, 1.0, 1.5, -1.0])
def test_a_queue_without_a_steady_state_is_refused(lam: float) -> None:
    """A formula answers with a negative or infinite wait."""
    with pytest.raises(ValueError, match=r"0 < load < capacity, got load"):
        theory.mm1_mean_wait(lam, 1.0)
    with pytest.raises(ValueError, match=r"0 < load < capacity"):
        theory.bulk_mg1_mean_wait(4 * lam, 1.0, 0.0, 4)

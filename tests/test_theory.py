"""The engines against queueing theory: queues with a closed form, inside the confidence interval of replications.

Each figure is estimated from independent replications with fixed seeds, the first fifth of each left out as warm-up.
The closed form must lie in the 99 % t-interval of their mean, and the interval must be so narrow that an error of the
stated size could not hide in it. So every assertion fails by chance once in a hundred changes of what is drawn, about
one such change in two breaks one of the sixty here: then look whether theory lies just outside, and whether other
seeds put it back. With the seeds as they are the outcome is the same in every run.

Exponential service is a table of quantiles like any other scatter (:func:`exponential`). Symbols are those of
:mod:`simulator.theory`, and times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter
from scipy import stats

from simulator import theory
from simulator.arrival_spec import Arrivals
from simulator.clock import NEVER
from simulator.log import COMPLETED, REJECTED, TIMED_OUT, RequestLog
from simulator.model import UNBOUNDED, FleetModel, Model, Noise, WorkloadModel
from simulator.noise import REACH, lognormal, normal_positions
from simulator.policies import batching, routing
from simulator.policies.service import NOISE_LEVELS, PPM
from simulator.run import Engine, run
from tests.models import COMPILED, MS, Drawn, S, Thinking, by_items

Floats = npt.NDArray[np.float64]

REPLICATIONS = 25 if COMPILED else 6
REQUESTS = 60_000 if COMPILED else 400
"""Of one replication, about. Without the compiler too few for a p99, which is left out then."""
LEVEL = 0.99 if COMPILED else 0.999
"""Of the intervals; few short replications are not quite normal."""

MEAN_S = 0.010
"""Mean service time of every queue here."""
MU = 1 / MEAN_S


def exponential(largest: int = 1) -> Noise:
    """Exponential service: the quantiles -ln(1 - Phi(z)) on the grid of z that lognormal scatter uses.

    Cut at six standard deviations, beyond which lies a billionth; straight lines between the grid's points lengthen
    the mean by a fifty-thousandth.
    """
    z = np.linspace(-REACH, REACH, NOISE_LEVELS + 1)
    return Noise(-stats.norm.logsf(z)[None, :], np.zeros(largest + 1, dtype=np.int64), normal_positions)


def test_the_exponential_table_is_exponential() -> None:
    """Mean 1, coefficient of variation 1, and the quantiles of an exponential variable."""
    noise = exponential()
    factor = np.interp(noise.draw(np.random.default_rng(1), 400_000), np.arange(NOISE_LEVELS + 1), noise.factors[0])
    assert math.isclose(1.0, factor.mean(), abs_tol=4 / math.sqrt(len(factor)))
    assert math.isclose(1.0, factor.std(), abs_tol=8 / math.sqrt(len(factor)))
    assert stats.kstest(factor, "expon").pvalue > 0.01


@dataclass(frozen=True)
class Sample:
    """The requests of one replication that arrived after the warm-up; times in seconds."""

    wait: Floats
    """Of those that completed."""
    sojourn: Floats
    """Of those that completed."""
    work: Floats
    """Solo service time of those that completed."""
    outcome: npt.NDArray[np.int8]
    """Of all."""
    throughput: float
    """Answers per second after the warm-up, before the horizon."""


def sample(model: Model, engine: Engine = "compiled") -> Sample:
    """Run one replication."""
    log = run(model, engine)
    requests: RequestLog = log.requests
    start_ns = model.horizon_ns // 5
    late = requests.arrival_ns >= start_ns
    done = late & (requests.outcome == COMPLETED)
    answered = (requests.left_ns >= start_ns) & (requests.left_ns < model.horizon_ns)
    return Sample(
        wait=(requests.start_ns - requests.arrival_ns)[done] / S,
        sojourn=(requests.left_ns - requests.arrival_ns)[done] / S,
        work=log.batches.work_ns[requests.batch[done]] / S,
        outcome=requests.outcome[late],
        throughput=float(answered.sum()) * S / (model.horizon_ns - start_ns),
    )


def assert_holds(
    model: Model, expected: dict[str, tuple[float, Callable[[Sample], float], float]], engine: Engine = "compiled"
) -> None:
    """Every expected figure lies in the interval of the replications, which is as narrow as it says.

    ``expected`` holds, by name, the figure of theory, how to read it from a replication, and the relative half width
    that the interval may have at most.
    """
    samples = [sample(replace(model, replication=k), engine) for k in range(REPLICATIONS)]
    for name, (figure, read, precision) in expected.items():
        if name.endswith("p99") and not COMPILED:
            continue
        values = np.array([read(one) for one in samples])
        half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        shown = f"{name}: theory {figure:.6g}, simulated {values.mean():.6g} -+ {half:.2g}"
        assert abs(values.mean() - figure) <= half, shown
        assert half <= precision * figure or not COMPILED or engine == "reference", f"too few requests to say: {shown}"


def mean_wait(one: Sample) -> float:
    """Mean wait of a replication."""
    return float(one.wait.mean())


def mean_sojourn(one: Sample) -> float:
    """Mean sojourn of a replication."""
    return float(one.sojourn.mean())


def share(of: Literal["wait", "sojourn"], at_most: float) -> Callable[[Sample], float]:
    """Share of the requests whose wait or sojourn is at most that: unbiased, where a quantile of a run is not."""
    return lambda one: float((getattr(one, of) <= at_most).mean())


def ended(outcome: int) -> Callable[[Sample], float]:
    """Share of the requests that ended so."""
    return lambda one: float((one.outcome == outcome).mean())


def queue(
    rate: float,
    fleet: FleetModel,
    *,
    requests: int = REQUESTS,
    process: dict[str, Any] | None = None,
    timeout_ns: int = NEVER,
) -> Model:
    """An open queue: requests of ``rate`` a second (Poisson, or another process) to one fleet."""
    horizon_ns = round(requests / rate * S)
    spec: Any = TypeAdapter(Arrivals).validate_python({"process": "poisson", "rate": rate} | (process or {}))
    traffic = WorkloadModel(0, Drawn(spec, horizon_ns), timeout_ns=timeout_ns)
    return Model((fleet,), (traffic,), horizon_ns, seed=20, expected_requests=requests)


def servers(c: int = 1, noise: Noise | None = None, **rest: Any) -> FleetModel:
    """One instance with ``c`` model instances that do not disturb one another, one request at a time: c servers."""
    return FleetModel(by_items(MEAN_S * S / MS), model_instances=c, slow_ppm=(PPM,) * c, noise=noise, **rest)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_m_m_1(rho: float) -> None:
    """Mean wait, mean sojourn and the whole distribution of the sojourn, which is exponential (Kleinrock 1975, 3.2)."""
    lam = rho * MU
    quantiles = {p: theory.mm1_sojourn_quantile(p, lam, MU) for p in (0.5, 0.9, 0.99)}
    assert_holds(
        queue(lam, servers(noise=exponential())),
        {
            "mean wait": (theory.mm1_mean_wait(lam, MU), mean_wait, 0.05),
            "mean sojourn": (theory.mm1_mean_sojourn(lam, MU), mean_sojourn, 0.04),
            **{f"sojourn p{100 * p:g}": (p, share("sojourn", time), 0.02) for p, time in quantiles.items()},
        },
    )


@pytest.mark.parametrize(("c", "rho"), [(2, 0.75), (8, 0.85)])
def test_m_m_c(c: int, rho: float) -> None:
    """Mean wait, the share that waits at all (Erlang C), and the p99 of the wait (Gross et al. 2008, section 2.3)."""
    lam = rho * c * MU
    assert_holds(
        queue(lam, servers(c, exponential()), requests=2 * REQUESTS),
        {
            "mean wait": (theory.mmc_mean_wait(lam, MU, c), mean_wait, 0.06),
            "share that waits": (theory.erlang_c(c, lam / MU), lambda one: float((one.wait > 0).mean()), 0.02),
            "wait p99": (0.99, share("wait", theory.mmc_wait_quantile(0.99, lam, MU, c)), 0.004),
        },
    )


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_m_d_1(rho: float) -> None:
    """Mean wait, and p50, p90, p99 of the wait (Crommelin 1932)."""
    lam = rho * MU
    assert_holds(
        queue(lam, servers()),
        {
            "mean wait": (theory.md1_mean_wait(lam, MEAN_S), mean_wait, 0.04),
            **{
                f"wait p{100 * p:g}": (p, share("wait", theory.md1_wait_quantile(p, lam, MEAN_S)), 0.02)
                for p in (0.9, 0.99)
            },
        },
    )


@pytest.mark.parametrize(("cv", "rho"), [(0.5, 0.7), (1.5, 0.6)])
def test_m_g_1_with_lognormal_service(cv: float, rho: float) -> None:
    """Mean wait by Pollaczek and Khinchine (Kleinrock 1975, section 5.6)."""
    lam = rho * MU
    expected = theory.mg1_mean_wait(lam, MEAN_S, cv**2)
    assert_holds(queue(lam, servers(noise=lognormal(np.array([cv])))), {"mean wait": (expected, mean_wait, 0.06)})


def bulk_server(b: int, noise: Noise | None = None, rule: int = batching.TEXTBOOK) -> FleetModel:
    """A server that takes up to ``b`` of those that wait, as long for all as for one."""
    return FleetModel(by_items(*[MEAN_S * S / MS] * b), rule=rule, max_batch=b, noise=noise)


@pytest.mark.parametrize(("b", "rho"), [(4, 0.5), (4, 0.8), (16, 0.9)])
def test_bulk_service_of_constant_length(b: int, rho: float) -> None:
    """Mean wait of M/D^[1,b]/1 (Bailey 1954, Downton 1955): batching with nothing but a batch size."""
    lam = rho * b * MU
    expected = theory.bulk_mg1_mean_wait(lam, MEAN_S, 0.0, b)
    for rule in (batching.TEXTBOOK, batching.TRITON, batching.COLLECT, batching.WINDOW, batching.CARRY):
        assert_holds(queue(lam, bulk_server(b, rule=rule)), {"mean wait": (expected, mean_wait, 0.04)})


@pytest.mark.parametrize(("b", "rho"), [(2, 0.75), (8, 0.8)])
def test_bulk_service_of_exponential_length(b: int, rho: float) -> None:
    """Mean and p99 of the wait in M/M^[1,b]/1 (Neuts 1967)."""
    lam = rho * b * MU
    assert_holds(
        queue(lam, bulk_server(b, exponential(b)), requests=2 * REQUESTS),
        {
            "mean wait": (theory.bulk_mm1_mean_wait(lam, MU, b), mean_wait, 0.06),
            "wait p99": (0.99, share("wait", theory.bulk_mm1_wait_quantile(0.99, lam, MU, b)), 0.004),
        },
    )


def shared(slots: int, noise: Noise | None, slow_ppm: tuple[int, ...] = ()) -> FleetModel:
    """One accelerator shared by ``slots`` executions of one request each."""
    return FleetModel(by_items(MEAN_S * S / MS), model_instances=slots, slow_ppm=slow_ppm, noise=noise)


@pytest.mark.parametrize("scatter", ["exponential", "constant", "lognormal"])
def test_processor_sharing(scatter: str) -> None:
    """An accelerator shared evenly by all that run: mean slowdown 1 / (1 - rho), for small work as for large.

    M/G/1 with processor sharing depends on the service distribution by its mean alone: L. Kleinrock (1976), Queueing
    Systems II, section 4.4; F. P. Kelly (1979), Reversibility and Stochastic Networks, section 3.3. Here it is 60
    model instances with the default slowdown k: more than ever run together.
    """
    rho = 0.6
    noise = {"exponential": exponential(), "constant": None, "lognormal": lognormal(np.array([1.5]))}[scatter]
    slowdown = 1 / (1 - rho)

    def half(larger: bool) -> Callable[[Sample], float]:
        def mean_slowdown(one: Sample) -> float:
            chosen = (one.work > np.median(one.work)) == larger
            return float((one.sojourn / one.work)[chosen].mean())

        return mean_slowdown

    assert_holds(
        queue(rho * MU, shared(60, noise), requests=REQUESTS // 4),
        {
            "mean sojourn": (slowdown * MEAN_S, mean_sojourn, 0.06),
            "slowdown of small work": (slowdown, half(larger=False), 0.06),
            **({} if noise is None else {"slowdown of large work": (slowdown, half(larger=True), 0.06)}),
        },
    )


def mean_of_chain(up: Sequence[float], down: Sequence[float]) -> tuple[Floats, float]:
    """Stationary probabilities of a birth-and-death chain, and its mean state."""
    ratio = np.cumprod(np.r_[1.0, np.asarray(up) / np.asarray(down)])
    probability = ratio / ratio.sum()
    return probability, float(probability @ np.arange(len(ratio)))


def test_executions_that_slow_one_another_down() -> None:
    """Slowdowns between shared and independent: a chain whose rate of completion with k running is k / slowdown[k]."""
    slow, rho, states = (1.0, 1.5, 1.8), 0.7, 400
    speed = [k / slow[k - 1] for k in (1, 2, 3)]
    lam = rho * speed[-1] * MU
    _, number = mean_of_chain([lam] * states, [speed[min(n, 3) - 1] * MU for n in range(1, states + 1)])
    fleet = shared(3, exponential(), tuple(round(factor * PPM) for factor in slow))
    assert_holds(queue(lam, fleet), {"mean sojourn": (number / lam, mean_sojourn, 0.04)})


@pytest.mark.parametrize(("c", "places", "rho"), [(1, 3, 0.9), (1, 1, 2.0), (3, 4, 1.1)])
def test_a_bounded_queue_loses_its_share(c: int, places: int, rho: float) -> None:
    """M/M/c/K: the share refused (Gross et al. 2008, section 2.5), under overload too."""
    lam = rho * c * MU
    expected = theory.mmck_loss(lam, MU, c, places)
    model = queue(lam, servers(c, exponential(), max_queue=places))
    assert_holds(model, {"share refused": (expected, ended(REJECTED), 0.02)})


@pytest.mark.parametrize(("rho", "patience"), [(0.8, 0.02), (1.3, 0.05)])
def test_impatient_clients_lose_their_share(rho: float, patience: float) -> None:
    """M/M/1 whose clients give up after a fixed time unless served: rho (1 - rho) e / (1 - rho^2 e), e as below.

    D. Y. Barrer (1957), "Queuing with impatient customers and ordered service", Operations Research 5(5), 650-656.
    """
    lam = rho * MU
    e = math.exp(-(MU - lam) * patience)
    expected = rho * (1 - rho) * e / (1 - rho**2 * e)
    model = queue(lam, servers(noise=exponential()), timeout_ns=round(patience * S))
    assert_holds(model, {"share that gives up": (expected, ended(TIMED_OUT), 0.03)})


def gi_m_1_mean_wait(transform: Callable[[float], float]) -> float:
    """Mean wait of GI/M/1, sigma / (mu (1 - sigma)), sigma = A(mu (1 - sigma)): Kleinrock (1975), section 6.3.

    ``transform`` is A, the Laplace transform of the inter-arrival time.
    """
    sigma = 0.5
    for _ in range(2000):
        sigma = transform(MU * (1 - sigma))
    return sigma / (MU * (1 - sigma))


def gamma_transform(lam: float, cv: float) -> Callable[[float], float]:
    """Laplace transform of a gamma inter-arrival time."""
    return lambda s: (1 + s * cv**2 / lam) ** (-1 / cv**2)


@pytest.mark.parametrize("cv", [0.0, 0.5, 2.0])
def test_arrivals_more_or_less_regular_than_poisson(cv: float) -> None:
    """GI/M/1 with deterministic (D/M/1) and gamma inter-arrival times."""
    lam = 0.7 * MU
    transform = gamma_transform(lam, cv) if cv else lambda s: math.exp(-s / lam)
    process = {"process": "gamma", "cv": cv} if cv else {"process": "deterministic"}
    assert_holds(
        queue(lam, servers(noise=exponential()), process=process),
        {"mean wait": (gi_m_1_mean_wait(transform), mean_wait, 0.08)},
    )


def test_arrivals_in_bursts() -> None:
    """MMPP/M/1: two states of the traffic, against the chain of (state, number in the system) solved numerically."""
    rates, switch, most = (0.3 * MU, 1.6 * MU), (0.2 * MU, 0.5 * MU), 300
    n = 2 * (most + 1)
    generator = np.zeros((n, n))
    for number in range(most + 1):
        for state in (0, 1):
            here = 2 * number + state
            generator[here, 2 * number + 1 - state] = switch[state]
            if number < most:
                generator[here, here + 2] = rates[state]
            if number > 0:
                generator[here, here - 2] = MU
    generator -= np.diag(generator.sum(axis=1))
    probability = np.linalg.solve(np.vstack([generator.T[:-1], np.ones(n)]), np.r_[np.zeros(n - 1), 1.0])
    number_in_system = float(probability @ (np.arange(n) // 2))
    lam = (rates[0] / switch[0] + rates[1] / switch[1]) / (1 / switch[0] + 1 / switch[1])
    spec = {"process": "mmpp", "rates": rates, "mean_durations": [f"{round(S / rate)}ns" for rate in switch]}
    model = queue(lam, servers(noise=exponential()))
    bursts: Any = TypeAdapter(Arrivals).validate_python(spec)
    model = replace(model, workloads=(replace(model.workloads[0], arrivals=Drawn(bursts, model.horizon_ns)),))
    assert_holds(model, {"mean sojourn": (number_in_system / lam, mean_sojourn, 0.05)})


def test_random_routing_makes_independent_queues() -> None:
    """A Poisson stream that is split by chance is Poisson: each of four instances is an M/M/1."""
    lam = 0.7 * MU
    fleet = replace(servers(noise=exponential()), instances=4, router=routing.RANDOM)
    assert_holds(queue(4 * lam, fleet), {"mean wait": (theory.mm1_mean_wait(lam, MU), mean_wait, 0.05)})


def test_taking_turns_makes_arrivals_regular() -> None:
    """Round robin over three instances: each sees Erlang-3 inter-arrival times, GI/M/1."""
    lam = 3 * 0.7 * MU
    fleet = replace(servers(noise=exponential()), instances=3, router=routing.SCHEDULE)
    expected = gi_m_1_mean_wait(lambda s: (lam / (lam + s)) ** 3)
    assert_holds(queue(lam, fleet), {"mean wait": (expected, mean_wait, 0.05)})


def test_two_choices_are_nearly_as_good_as_all() -> None:
    """Power of two choices among very many: mean sojourn sum over i of rho^(2^i - 2), to 1 % with 250 instances.

    N. D. Vvedenskaya, R. L. Dobrushin and F. I. Karpelevich (1996), "Queueing system with selection of the shortest of
    two queues", Problems of Information Transmission 32(1), 15-27; M. Mitzenmacher (2001), IEEE TPDS 12(10).
    """
    rho, instances = 0.8, 250
    limit = sum(rho ** (2**i - 2) for i in range(1, 12)) * MEAN_S
    fleet = replace(servers(noise=exponential()), instances=instances, router=routing.TWO)
    model = queue(rho * instances * MU, fleet, requests=8 * REQUESTS)
    simulated = np.mean([mean_sojourn(sample(replace(model, replication=k))) for k in range(3)])
    assert math.isclose(limit, simulated, rel_tol=0.01 if COMPILED else 0.5)


def test_the_more_a_router_knows_the_shorter_the_wait() -> None:
    """One queue for all beats the shortest queue, which beats taking turns, which beats chance.

    W. Winston (1977), "Optimality of the shortest line discipline", J. Applied Probability 14(1), 181-189.
    """
    lam = 2 * 0.8 * MU
    single = replace(servers(noise=exponential()), instances=2)
    fleets = [
        servers(2, exponential()),
        replace(single, router=routing.LEAST),
        replace(single, router=routing.SCHEDULE),
        replace(single, router=routing.RANDOM),
    ]
    waits = [np.mean([mean_wait(sample(replace(queue(lam, f), replication=k))) for k in range(5)]) for f in fleets]
    assert sorted(waits) == waits


def closed(clients: int, think_s: float, fleet: FleetModel) -> Model:
    """Clients that think for an exponential time; long enough for about REQUESTS answers at full speed."""
    loop = WorkloadModel(0, clients=clients, think=Thinking(round(think_s * S), "exponential"))
    return Model((fleet,), (loop,), round(REQUESTS * MEAN_S * S), seed=20, expected_requests=REQUESTS)


def mean_value_analysis(clients: int, think: float, service: float) -> tuple[float, float]:
    """Throughput and mean response of a closed loop with one exponential server, by recursion over the clients.

    M. Reiser and S. S. Lavenberg (1980), "Mean-value analysis of closed multichain queuing networks", JACM 27(2).
    """
    number = throughput = response = 0.0
    for n in range(1, clients + 1):
        response = service * (1 + number)
        throughput = n / (response + think)
        number = throughput * response
    return throughput, response


@pytest.mark.parametrize(("clients", "think_s"), [(1, 0.02), (5, 0.04), (12, 0.05)])
def test_a_closed_loop_is_a_machine_repair_shop(clients: int, think_s: float) -> None:
    """M/M/1//N: throughput and mean response are those of mean value analysis."""
    throughput, response = mean_value_analysis(clients, think_s, MEAN_S)
    assert_holds(
        closed(clients, think_s, servers(noise=exponential())),
        {
            "throughput": (throughput, lambda one: one.throughput, 0.02),
            "mean response": (response, mean_sojourn, 0.03),
        },
    )


def test_a_closed_loop_with_several_servers() -> None:
    """M/M/c//N: throughput from the chain of how many are thinking (Gross et al. 2008, section 2.7)."""
    c, clients, think_s = 3, 10, 0.02
    up = [(clients - n) / think_s for n in range(clients)]
    down = [min(n, c) * MU for n in range(1, clients + 1)]
    probability, _ = mean_of_chain(up, down)
    throughput = float(probability[1:] @ down)
    response = clients / throughput - think_s
    assert_holds(
        closed(clients, think_s, servers(c, exponential())),
        {
            "throughput": (throughput, lambda one: one.throughput, 0.02),
            "mean response": (response, mean_sojourn, 0.03),
        },
    )


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 8])
def test_a_constant_closed_loop_meets_the_asymptotic_bounds(clients: int) -> None:
    """Without chance throughput is min(N / (Z + S), 1 / S) to the request.

    P. J. Denning and J. P. Buzen (1978), "The operational analysis of queueing network models", ACM Surveys 10(3).
    """
    think_s = 0.03
    loop = WorkloadModel(0, clients=clients, think=Thinking(round(think_s * S)))
    model = Model((servers(),), (loop,), 12 * S)
    bound = min(clients / (think_s + MEAN_S), MU)
    requests = run(model).requests
    answers = int(((requests.left_ns >= 4 * S) & (requests.left_ns < 8 * S)).sum())
    assert round(4 * bound) == answers


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_either_engine_meets_theory(engine: Engine) -> None:
    """The reference on its own, as long as its speed allows: M/M/2 with a bounded queue, at half load."""
    lam = MU
    model = queue(lam, servers(2, exponential(), max_queue=UNBOUNDED - 1), requests=1000)
    assert_holds(model, {"mean sojourn": (theory.mmc_mean_wait(lam, MU, 2) + MEAN_S, mean_sojourn, 0.2)}, engine)

"""The scenarios that are timed, as YAML text: ``python -m benchmarks --scenario NAME`` prints one for ``simulate``.

They are frozen: changing one makes figures of before and after incomparable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.cpp import Int64s


@dataclass(frozen=True)
class Batching:
    """Instances that batch dynamically, behind a least-outstanding router, at 80 % of their capacity.

    A batch of b takes 8 + 2 b ms: 10 ms at 1, 40 ms at 16.
    """

    requests: int
    """Requests to expect; Poisson arrivals make it a few more or less."""
    instances: int = 4
    rule: str = "textbook"
    seed: int = 1
    load: float = 0.8
    max_batch: int = 16
    max_delay_ns: int = 5_000_000

    @property
    def rate_rps(self) -> float:
        """Requests per second that load the fleet as wished.

        >>> Batching(1_000_000).rate_rps
        1280.0
        """
        return self.load * self.instances * self.max_batch / (int(self.service_ns[-1]) / 1e9)

    @property
    def horizon_ns(self) -> int:
        """Simulated time in which the requests arrive, in ns: a whole number of microseconds."""
        return math.ceil(self.requests / self.rate_rps * 1e6) * 1_000

    @property
    def service_ns(self) -> Int64s:
        """Time of a batch of b at place b, in ns, shape (max_batch + 1,); place 0 is not used."""
        return (8 + 2 * np.arange(self.max_batch + 1, dtype=np.int64)) * 1_000_000

    def scenario(self) -> str:
        """The YAML text that ``simulate`` runs."""
        batch = list(range(1, self.max_batch + 1))
        latency_ms = [int(self.service_ns[size]) // 1_000_000 for size in batch]
        return f"""\
# Benchmark: about {self.requests:,} requests through {self.instances} dynamically batching instances.
schema: 1
name: batching-{self.instances}
seed: {self.seed}
horizon: {self.horizon_ns // 1_000}us
profiles:
  linear:
    batch:      {batch}
    latency_ms: {latency_ms}
fleets:
  gpu:
    profile: linear
    usd_per_hour: 1.0
    instances: {self.instances}
    batching: {{policy: dynamic, rule: {self.rule}, max_batch_size: {self.max_batch}, max_queue_delay: {
            self.max_delay_ns // 1_000
        }us}}
    router: least_outstanding
workloads:
  requests:
    fleet: gpu
    arrivals: {{process: poisson, rate: {self.rate_rps!r}}}
"""


@dataclass(frozen=True)
class MultiServer:
    """M/M/8 at rho 0.85: one instance with eight independent model instances, no batching, service of mean 10 ms.

    The exponential distribution is given as samples, its quantiles at the midpoints of equal shares.
    """

    requests: int
    servers: int = 8
    seed: int = 1
    load: float = 0.85
    service_ms: float = 10.0
    samples: int = 1_000

    @property
    def rate_rps(self) -> float:
        """Requests per second that load the servers as wished."""
        return self.load * self.servers / (self.service_ms / 1e3)

    @property
    def mean_wait_ms(self) -> float:
        """Mean wait of M/M/c by Erlang's C formula, in ms (A. K. Erlang 1917).

        >>> round(MultiServer(1, servers=1, load=0.5).mean_wait_ms, 9)
        10.0
        """
        erlangs = self.load * self.servers
        term = total = 1.0
        for busy in range(1, self.servers):
            term *= erlangs / busy
            total += term
        all_busy = term * erlangs / self.servers / (1 - self.load)
        return all_busy / (total + all_busy) * self.service_ms / (self.servers * (1 - self.load))

    def scenario(self) -> str:
        """The YAML text that ``simulate`` runs."""
        share = (np.arange(self.samples) + 0.5) / self.samples
        quantile = -np.log1p(-share)
        samples_ms = ", ".join(f"{value:.4f}" for value in quantile / quantile.mean() * self.service_ms)
        return f"""\
# Benchmark: about {self.requests:,} requests through M/M/{self.servers} at rho {self.load}.
schema: 1
name: mm{self.servers}
seed: {self.seed}
horizon: {math.ceil(self.requests / self.rate_rps * 1e6)}us
profiles:
  exponential:
    batch: [1]
    latency_ms: [{self.service_ms}]
    samples_ms: [[{samples_ms}]]
fleets:
  servers:
    profile: exponential
    usd_per_hour: 1.0
    instances: 1
    model_instances: {self.servers}
    slowdown: [{", ".join("1" for _ in range(self.servers))}]
workloads:
  customers:
    fleet: servers
    arrivals: {{process: poisson, rate: {self.rate_rps!r}}}
"""


@dataclass(frozen=True)
class Hello:
    """The smallest of the scenarios that the project ships."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(__file__).resolve().parents[1] / "scenarios" / "hello.yaml"

    def scenario(self) -> str:
        """The YAML text that ``simulate`` runs."""
        return self.path.read_text(encoding="utf-8")

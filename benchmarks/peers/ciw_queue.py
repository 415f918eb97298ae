"""The M/M/c queue in Ciw, as its documentation writes it."""

from __future__ import annotations

import ciw  # type: ignore[import-untyped]


def mean_wait_s(n_servers: int, arrival_rate: float, service_rate: float, n_requests: int, seed: int) -> float:
    """How long does a customer wait on average, over the first ``n_requests`` that finish?

    Rates are per second.
    """
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=arrival_rate)],
        service_distributions=[ciw.dists.Exponential(rate=service_rate)],
        number_of_servers=[n_servers],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(n_requests, method="Finish")
    waits = [record.waiting_time for record in simulation.get_all_records()]
    return float(sum(waits) / len(waits))

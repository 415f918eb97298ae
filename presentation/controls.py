"""What a planner turns: load, instances, batching, hardware, price, objective. Each becomes a change as of ``--set``.

A control has the scenario's own value until it is moved, and only what was moved is changed, so that the command line
that the app shows says exactly what was asked.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from calibration.catalogue import known
from calibration.profile_file import read_profile_file
from calibration.schema import Entry
from presentation.numbers import usd
from presentation.purchases import bought_as
from simulator.clock import ms_from_ns
from simulator.prices import PriceError, find_price, shipped_catalogue
from simulator.scenario import Scenario
from simulator.workload_spec import Workload

OWN_PRICE: Final = "own price"
"""Stands among the instance types for a price that the scenario states itself."""

_MOST_LISTED: Final = 4_096

SLO_CHOICES: Final = ("p99", "p95", "p90", "p999", "p50", "mean")
"""Objectives in the order in which one is picked for the slider."""


@dataclass(frozen=True)
class Controls:
    """Where the controls of one workload and its fleet stand."""

    load_percent: int
    """Load, in percent of the scenario's own."""
    instances: int
    max_batch_size: int
    max_queue_delay_ms: float
    model_instances: int
    profile: str
    instance_type: str
    """A machine of the catalogue, or OWN_PRICE."""
    purchase: str
    """Name of a purchase plan in price lists: ``on_demand``, ``cud_1y`` ..."""
    slo_ms: float | None
    """Target of the objective that :func:`slo_key` names; None without one."""


def controls_of(scenario: Scenario, workload: str) -> Controls:
    """Where do the controls stand for the scenario as it is?"""
    asked = scenario.workloads[workload]
    fleet = scenario.fleets[asked.fleet]
    key = slo_key(asked)
    return Controls(
        load_percent=100,
        instances=fleet.instances,
        max_batch_size=fleet.batching.max_batch_size,
        max_queue_delay_ms=ms_from_ns(fleet.batching.max_queue_delay_ns),
        model_instances=fleet.model_instances,
        profile=fleet.profile,
        instance_type=OWN_PRICE if fleet.usd_per_hour is not None else fleet.instance_type or OWN_PRICE,
        purchase=fleet.purchase.plan,
        slo_ms=None if key is None or asked.slo is None else ms_from_ns(asked.slo.targets_ns[key]),
    )


def slo_key(workload: Workload) -> str | None:
    """Which objective does the slider move? The p99, else the nearest that is stated; None without any."""
    stated = {} if workload.slo is None else workload.slo.targets_ns
    return next((key for key in SLO_CHOICES if key in stated), None)


def changes(scenario: Scenario, workload: str, moved: Controls) -> tuple[str, ...]:
    """Which ``path.to.key=value`` texts say what was moved? Nothing for what stands as it stood."""
    own = controls_of(scenario, workload)
    asked = scenario.workloads[workload]
    fleet = f"fleets.{asked.fleet}"
    said: list[str] = []
    if moved.load_percent != own.load_percent:
        key, value = scaled_load(asked.arrivals, moved.load_percent / 100)
        said.append(f"workloads.{workload}.arrivals.{key}={value}")
    plain = (
        ("instances", moved.instances, own.instances),
        ("model_instances", moved.model_instances, own.model_instances),
        ("profile", moved.profile, own.profile),
        ("batching.max_batch_size", moved.max_batch_size, own.max_batch_size),
    )
    said += [f"{fleet}.{path}={value}" for path, value, before in plain if value != before]
    if moved.max_queue_delay_ms != own.max_queue_delay_ms:
        said.append(f"{fleet}.batching.max_queue_delay={duration_text(moved.max_queue_delay_ms)}")
    if moved.instance_type != own.instance_type:
        said += _priced_as(scenario, asked.fleet, moved.instance_type)
    if moved.purchase != own.purchase:
        said += bought_as(scenario, asked.fleet, moved.instance_type, moved.instances, moved.purchase)
    if moved.slo_ms is not None and moved.slo_ms != own.slo_ms:
        said.append(f"workloads.{workload}.slo.{slo_key(asked)}={duration_text(moved.slo_ms)}")
    return tuple(said)


def scaled_load(arrivals: Any, factor: float) -> tuple[str, str]:
    """Key and value that make a workload send ``factor`` times as much.

    >>> from simulator.arrival_spec import PoissonArrivals
    >>> scaled_load(PoissonArrivals(process="poisson", rate=900), 1.5)
    ('rate', '1350')
    """
    process = arrivals.process
    if process == "closed_loop":
        return "concurrency", str(max(1, round(arrivals.concurrency * factor)))
    if process == "mmpp":
        return "rates", f"[{', '.join(f'{one * factor:.10g}' for one in arrivals.rates)}]"
    key = {"rate_series": "scale", "trace": "speed"}.get(process, "rate")
    return key, f"{getattr(arrivals, key) * factor:.10g}"


def with_load(scenario: Scenario, workload: str, factor: float) -> Scenario:
    """The scenario with ``factor`` times the load of one workload."""
    arrivals: Any = scenario.workloads[workload].arrivals
    key, text = scaled_load(arrivals, factor)
    value: Any = tuple(one * factor for one in arrivals.rates) if key == "rates" else type(getattr(arrivals, key))(text)
    changed = scenario.workloads[workload].model_copy(update={"arrivals": arrivals.model_copy(update={key: value})})
    return scenario.model_copy(update={"workloads": {**scenario.workloads, workload: changed}})


def duration_text(milliseconds: float) -> str:
    """A duration as YAML wants it.

    >>> duration_text(60.0), duration_text(0.5), duration_text(0.0)
    ('60ms', '500us', '0ms')
    """
    return f"{milliseconds:.10g}ms" if milliseconds == 0 or milliseconds >= 1 else f"{1000 * milliseconds:.10g}us"


def batch_sizes(scenario: Scenario, fleet: str) -> tuple[int, ...]:
    """Batch sizes to offer: powers of two inside what the profile measured, and the fleet's own."""
    spec = scenario.fleets[fleet]
    low, high = scenario.profiles[spec.profile].range
    smallest = max((max(one.item_shares) for one in scenario.workloads_of(fleet).values()), default=1)
    powers = {1 << n for n in range(_MOST_LISTED.bit_length()) if max(low, smallest) <= 1 << n <= high}
    return tuple(sorted(powers | {high, spec.batching.max_batch_size}))


@lru_cache(maxsize=1)
def instance_types() -> dict[str, str]:
    """Machines with one on-demand price, with what to know of each: accelerator, price, provider."""
    listed = {}
    for name in shipped_catalogue().by_type:
        try:
            price = find_price([shipped_catalogue()], name)
        except PriceError:
            continue
        many = "" if price.accelerator_count in (None, 1) else f"{price.accelerator_count:g} × "
        chip = f"{many}{price.accelerator}" if price.accelerator else "CPU"
        listed[name] = f"{name} · {chip} · {usd(price.usd_per_hour)}/h {price.provider}"
    return listed


@lru_cache(maxsize=1)
def shipped_profiles() -> tuple[str, ...]:
    """Shipped profiles that a fleet can be simulated with."""
    return tuple(name for name, path in known().items() if read_profile_file(path).has_curve)


def tooltip(entry: type[Entry], key: str) -> str:
    """What a key means: the text under its field."""
    return " ".join((entry.model_fields[key].description or "").replace("``", "`").split())


def hardware_mismatch(scenario: Scenario, fleet: str) -> str:
    """What to know when a fleet is priced as one machine and timed on another; nothing when they agree or say nothing.

    The accelerator of the catalogue must be in the device that the profile names.
    """
    spec = scenario.fleets[fleet]
    rows = shipped_catalogue().by_type.get(spec.instance_type or "", ())
    device = str(scenario.profiles[spec.profile].provenance.get("device", ""))
    chip = next((price.accelerator for price in rows), "")
    if spec.usd_per_hour is not None or not rows or not device or _same_chip(chip, device):
        return ""
    return (
        f"{fleet} is priced as {spec.instance_type} ({chip or 'no accelerator'}) and timed on {device}: "
        "choose the profile of the same hardware, or only the price is that of the machine."
    )


def _same_chip(chip: str, device: str) -> bool:
    """Whether the catalogue's name of an accelerator is in a profile's name of its device.

    >>> _same_chip("A100-80GB", "NVIDIA A100-SXM4-80GB"), _same_chip("A100-40GB", "A10"), _same_chip("", "Xeon")
    (True, False, True)
    """
    if not chip:
        return not any(word in device.upper() for word in ("NVIDIA", "TPU", "GPU", "TESLA"))
    words = device.upper().replace("-", " ").replace(",", " ").split()
    return chip.upper().replace("-", " ").split()[0] in words


def _priced_as(scenario: Scenario, fleet: str, instance_type: str) -> list[str]:
    spec = scenario.fleets[fleet]
    if instance_type == OWN_PRICE:
        return []
    said = [f"fleets.{fleet}.instance_type={instance_type}"]
    # A price of the scenario's own would win over the machine's.
    said += [f"fleets.{fleet}.usd_per_hour=null"] if spec.usd_per_hour is not None else []
    said += [f"fleets.{fleet}.{key}=null" for key in ("provider", "region") if getattr(spec, key) is not None]
    return said


def lines_of(text: str) -> tuple[str, ...]:
    r"""One ``path.to.key=value`` a line; blank lines and what follows a # are left out.

    >>> lines_of("seed=7\n\n# no more\nwarmup=1s")
    ('seed=7', 'warmup=1s')
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def command(file: str, overrides: tuple[str, ...]) -> str:
    """The command line that asks the same.

    >>> command("scenarios/peak.yaml", ("fleets.gpu.instances=3",))
    'simulate scenarios/peak.yaml --set fleets.gpu.instances=3'
    """
    return " ".join(["simulate", shlex.quote(file), *(f"--set {shlex.quote(one)}" for one in overrides)])

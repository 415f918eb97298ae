"""What samples say, and whether to believe them: statistics, raw quantiles, and reasons for doubt with advice.

A point is called unstable for a reason that can be checked against its samples, never because of a score. Each
reason comes with what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from calibration.page import per_cent, significant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

KEPT_WHOLE: Final = 200
"""Up to so many samples are kept as they are; of more, quantiles at equal steps."""

QUANTILES: Final = 101

WIDE_IQR: Final = 0.05
"""IQR over median beyond which a point scatters: torch.utils.benchmark warns at 10 %, one fit to plan by needs less."""

SLOW: Final = 1.5
"""An execution that takes more than so many medians is slow,"""
SLOW_SHARE: Final = 0.01
"""and from this share on, and two of them, the p99 is made of such."""

DRIFT: Final = 0.03
"""Later rounds differ from earlier ones by more than this share."""

NOTCH: Final = 1.57
"""Half-width of the 95 % interval of a median is NOTCH x IQR / sqrt(n) (McGill, Tukey, Larsen 1978)."""

TWO_SPEEDS: Final = 5.0
"""Ashman's D from which a split in two is no accident (a uniform distribution cut in half has 3.5)."""

CLOCK_RANGE: Final = 0.05
"""A clock that moves by more than this share moves the latency with it."""

OVERLOADED: Final = 1.2
"""Load average per core beyond which other programs compete."""

MEANINGFUL: Final[Mapping[str, int]] = {"p90": 10, "p95": 20, "p99": 100, "p999": 1000}
"""Executions from which a percentile has one beyond it."""


@dataclass(frozen=True)
class Doubt:
    """A reason not to trust a point."""

    kind: str
    """What kind of reason it is, a key of ADVICE."""
    words: str
    """What was seen, for instance ``IQR 12% of the median``."""


ADVICE: Final[Mapping[str, str]] = {
    "busy machine": "Other programs use the cores: close them, or choose cores with taskset.",
    "throttled": "The device is too hot or short of power: see to its cooling and supply, then measure again.",
    "clocks": "Pin the clocks for the measurement (nvidia-smi -lgc MHZ,MHZ as root; nvidia-smi -rgc undoes it).",
    "two speeds": "Something switches: other programs, clocks (nvidia-smi -lgc pins a GPU's), cores of two kinds "
    "(taskset picks some), or a model whose work depends on its input.",
    "drift": "The device warms up or shares its time: repeat with --repeats 10, and let it rest or pin its clocks.",
    "not steady": "It was still changing when the warm-up ended: give it longer (--max-warm-up 60s).",
    "slow executions": "Slow executions make the p99: close other programs, or accept them if production has them too.",
    "scatter": "Close other programs and measure again with more time (--min-time 20s, --repeats 10).",
}
"""What to do about each kind of doubt, a sentence; a kind that may be the cause of others comes before them."""


def statistics_ms(samples_ms: Sequence[float]) -> dict[str, float]:
    """Mean, extremes, quartiles, percentiles and the standard deviation of samples, by their names in STATISTICS.

    Percentiles are interpolated between samples (NumPy's default). One with no sample beyond it (see MEANINGFUL) is
    little more than the largest sample: :func:`shaky` names those. The 99.9th is left out then.

    >>> found = statistics_ms([1.0, 2.0, 3.0, 4.0])
    >>> found["mean"], found["p50"], found["p25"], found["max"]
    (2.5, 2.5, 1.75, 4.0)
    """
    import numpy as np

    samples = np.asarray(samples_ms, dtype=np.float64)
    named = {"p5": 5.0, "p25": 25.0, "p50": 50.0, "p75": 75.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
    if len(samples) >= MEANINGFUL["p999"]:
        named["p999"] = 99.9
    values = np.percentile(samples, list(named.values()))
    found = {"mean": float(samples.mean()), "min": float(samples.min())}
    found |= dict(zip(named, values.tolist(), strict=True))
    found["max"] = float(samples.max())
    if len(samples) > 1:
        found["std"] = float(samples.std(ddof=1))
    return found


def shaky(executions: int) -> list[str]:
    """Which of p90, p95 and p99 have no execution beyond them?

    >>> shaky(50), shaky(100)
    (['p99'], [])
    """
    return [name for name in ("p90", "p95", "p99") if executions < MEANINGFUL[name]]


def raw_quantiles(samples_ms: Sequence[float]) -> tuple[float, ...]:
    """All samples in ascending order, or 101 quantiles at equal steps (from the least to the largest) of many."""
    import numpy as np

    if len(samples_ms) <= KEPT_WHOLE:
        return tuple(sorted(samples_ms))
    return tuple(np.quantile(samples_ms, np.linspace(0, 1, QUANTILES)).tolist())


def doubts_of_samples(rounds_ms: Sequence[Sequence[float]]) -> list[Doubt]:
    """Which reasons for doubt do the samples of one point give, round by round in the order measured?

    >>> doubts_of_samples([[10.0, 10.1, 9.9], [10.0, 10.1, 9.9]])
    []
    >>> [doubt.words for doubt in doubts_of_samples([[10.0, 12.0, 9.0], [10.0, 11.0, 9.0]])]
    ['IQR 15% of the median']
    """
    import numpy as np

    samples = np.concatenate([np.asarray(one, dtype=np.float64) for one in rounds_ms])
    p25, median, p75 = np.percentile(samples, [25, 50, 75]).tolist()
    doubts = []
    speeds = _two_speeds(np.sort(samples))
    if speeds is not None:
        low_ms, high_ms, share = speeds
        often = f"{significant(high_ms)} ms in {per_cent(share)} of the executions"
        doubts.append(Doubt("two speeds", f"two speeds: {significant(low_ms)} ms, and {often}"))
    elif p75 - p25 > WIDE_IQR * median:
        doubts.append(Doubt("scatter", f"IQR {per_cent((p75 - p25) / median)} of the median"))
    slow = int((samples > SLOW * median).sum())
    if speeds is None and slow >= max(SLOW_SHARE * len(samples), 2):
        worst = float(samples.max()) / median
        words = f"{slow} of {len(samples)} samples take more than {SLOW:g} medians, the worst {significant(worst, 2)}"
        doubts.append(Doubt("slow executions", words))
    drift = _drift(rounds_ms)
    if drift is not None:
        word = (
            f"{1 + drift:.2g} times as slow"
            if drift >= 1
            else f"{per_cent(abs(drift))} {'slower' if drift > 0 else 'faster'}"
        )
        doubts.append(Doubt("drift", f"later rounds are {word}"))
    return doubts


def doubt_of_clocks(lowest_mhz: float | None, highest_mhz: float | None) -> list[Doubt]:
    """Whether the clock of the device moved while it was measured."""
    if not lowest_mhz or not highest_mhz or highest_mhz - lowest_mhz <= CLOCK_RANGE * highest_mhz:
        return []
    return [Doubt("clocks", f"the clock moved between {lowest_mhz:.0f} and {highest_mhz:.0f} MHz")]


UNDISTURBED: Final = 0.98
"""Share of its processors' time from which a process was hardly ever kept waiting for them."""


def doubt_of_load(load: float | None, cores: int, got: float | None = None) -> list[Doubt]:
    """Whether more wants to run on this machine than it has cores, and this process may have waited for them.

    Whoever got nearly all the time of the processors it runs on (``got``, a share) was not disturbed, however many
    others queued: it was pinned, or had priority.
    """
    if load is None or load <= OVERLOADED * cores or (got is not None and got >= UNDISTURBED):
        return []
    return [Doubt("busy machine", f"load average {load:.1f} on {cores} cores")]


def sentences(doubts: Mapping[str, Sequence[Doubt]]) -> list[str]:
    """Say which points are unstable, why, and what to do: about the likely cause at each point, not its effects.

    >>> wide = Doubt("scatter", "IQR 7% of the median")
    >>> sentences({"batch 1": [], "batch 4": [wide, Doubt("busy machine", "load average 9.0 on 2 cores")]})[0]
    ... # doctest: +ELLIPSIS
    'unstable: batch 4 (IQR 7% of the median, load average 9.0 on 2 cores). Other programs use the cores: close ...'
    """
    shaken = {point: found for point, found in doubts.items() if found}
    if not shaken:
        return []
    order = list(ADVICE)
    causes = {min((doubt.kind for doubt in found), key=order.index) for found in shaken.values()}
    places = "; ".join(f"{point} ({', '.join(doubt.words for doubt in found)})" for point, found in shaken.items())
    return [" ".join([f"unstable: {places}.", *(ADVICE[kind] for kind in order if kind in causes)])]


def _drift(rounds_ms: Sequence[Sequence[float]]) -> float | None:
    """By which share later rounds differ from earlier ones; None when that may be chance.

    The middle one of an odd number of rounds belongs to neither half. Two medians differ when the notches of their
    box plots do not overlap.
    """
    import numpy as np

    half = len(rounds_ms) // 2
    if half == 0:
        return None
    early = np.concatenate([np.asarray(one) for one in rounds_ms[:half]])
    late = np.concatenate([np.asarray(one) for one in rounds_ms[-half:]])
    medians, notches = [], []
    for samples in (early, late):
        p25, median, p75 = np.percentile(samples, [25, 50, 75]).tolist()
        medians.append(median)
        notches.append(NOTCH * (p75 - p25) / math.sqrt(len(samples)))
    change = float(medians[1] - medians[0])
    if abs(change) <= max(DRIFT * medians[0], sum(notches)):
        return None
    return change / float(medians[0])


def _two_speeds(ordered: Floats) -> tuple[float, float, float] | None:
    """Mean of the faster and of the slower executions and the share of these, when they are two distinct groups.

    The split is the one with the most variance between the groups (Otsu 1979); it is believed when Ashman's
    D = sqrt(2) |m2 - m1| / sqrt(s1^2 + s2^2) (Ashman, Bird, Zepf 1994) exceeds TWO_SPEEDS, each group holds a
    tenth of the samples, and their means differ by more than WIDE_IQR.
    """
    import numpy as np

    n = len(ordered)
    least = max(3, math.ceil(n / 10))
    if n < 2 * least:
        return None
    sizes = np.arange(1, n, dtype=np.float64)
    centred = ordered - ordered.mean()  # else the sums of squares drown the spread
    sums = np.cumsum(centred)[:-1]
    between = sums**2 / sizes + sums**2 / (n - sizes)
    first = least - 1
    cut = first + int(np.argmax(between[first : n - least])) + 1
    low, high = ordered[:cut], ordered[cut:]
    apart = float(high.mean() - low.mean())
    spread = math.sqrt(float(low.var() + high.var()))
    if apart <= WIDE_IQR * float(low.mean()) or apart * math.sqrt(2) <= TWO_SPEEDS * spread:
        return None
    return float(low.mean()), float(high.mean()), len(high) / n

"""What was measured, and who says so: the provenance of a profile in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from calibration.backends.protocol import Variant
from calibration.page import paragraph
from calibration.profile_file import ProfileFile

_SOURCES: Final = ("citation", "source", "url", "repository", "commit", "path", "date", "tool", "host", "versions")

_MOST_PARTS: Final = 8
_WIDEST_KEY: Final = 32
_DIGITS: Final = 7


def subject(file: ProfileFile) -> str:
    """What was measured, on what?

    >>> told = {"model": "resnet50", "precision": "fp16", "runtime": "torch", "device": "NVIDIA T4"}
    >>> file = {"schema": 1, "provenance": told, "measurements": {"batch": [1], "latency_ms": [5]}}
    >>> subject(ProfileFile.model_validate(file))
    'resnet50, fp16, torch on NVIDIA T4'
    """
    told = file.provenance
    what = ", ".join(said(told[key]) for key in ("model", "precision", "runtime", "server") if told.get(key))
    device = f" on {said(told['device'])}" if told.get("device") else ""
    driver = f" (driver {said(told['driver'])})" if told.get("driver") else ""
    return f"{what or 'model not stated'}{device}{driver}"


def source(file: ProfileFile) -> str:
    """Who says so, since when, with what? Nothing that was said before is said again.

    >>> told = {"source": "vendor/models@276f0a6, a/README.md line 9", "repository": "vendor/models", "date": "2022",
    ...         "url": "https://example.org/vendor/models", "commit": "276f0a680a6775aa46005d6d34170f3c616e56dd"}
    >>> file = {"schema": 1, "provenance": told, "measurements": {"batch": [1], "latency_ms": [5]}}
    >>> source(ProfileFile.model_validate(file))
    'vendor/models@276f0a6, a/README.md line 9, 2022'
    """
    told = {key: said(file.provenance[key]) for key in _SOURCES if file.provenance.get(key)}
    words: list[str] = []
    for key, text in told.items():
        # A commit is known by its first digits, an address by the repository that it leads to.
        sign = text[:_DIGITS] if key == "commit" else told.get("repository", text) if key == "url" else text
        if not any(sign in before for before in words) and not (key == "path" and "url" in told):
            words.append(_short_hash(text))
    return ", ".join(words) or "source not stated"


def _short_hash(text: str) -> str:
    """Git's names of commits to as many digits as tell them apart.

    >>> _short_hash("commit 276f0a680a6775aa46005d6d34170f3c616e56dd-changed")
    'commit 276f0a680a67-changed'
    """
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", text)


def said(value: Any) -> str:
    """A value of a provenance or a note in a few words.

    >>> said({"torch": "2.13.0", "numpy": "2.4"}), said(0.123456), said([1, 2.5]), said("two  words")
    ('torch 2.13.0, numpy 2.4', '0.123', '1, 2.5', 'two words')
    >>> said([[1, 2], [3, 4]]), said(list(range(100)))
    ('[1, 2], [3, 4]', '100 values from 0 to 99')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {said(one)}" for key, one in value.items() if one is not None)
    if isinstance(value, float):
        return f"{value:g}" if value.is_integer() else f"{value:.3g}"
    if isinstance(value, str) or not isinstance(value, Sequence):
        return " ".join(str(value).split())
    numbers = [one for one in value if isinstance(one, int | float)]
    if len(value) > _MOST_PARTS and len(numbers) == len(value):
        return f"{len(value)} values from {said(min(numbers))} to {said(max(numbers))}"
    shown = ", ".join(f"[{said(one)}]" if isinstance(one, list | tuple) else said(one) for one in value[:_MOST_PARTS])
    return shown if len(value) <= _MOST_PARTS else f"{shown} and {len(value) - _MOST_PARTS} more"


def variant_of(file: ProfileFile) -> Variant | None:
    """How was the model run, so that it can be run again? None for a profile that our measuring did not write."""
    kept = file.provenance.get("variant")
    if not isinstance(kept, Mapping) or not isinstance(kept.get("model"), str):
        return None
    known = {key: kept[key] for key in Variant.__dataclass_fields__ if kept.get(key) is not None}
    return Variant(**known)


def pairs(values: Mapping[str, Any]) -> Iterator[str]:
    """Whatever a section of a profile holds, a line a key.

    >>> list(pairs({"load_s": 1.25, "first": None, "stages": {"import": 2.0}}))
    ['  load_s  1.25', '  stages  import 2']
    """
    width = min(max(map(len, values), default=0), _WIDEST_KEY)
    for name, value in values.items():
        if value is not None:
            yield from paragraph(said(value), mark=f"  {name:<{width}}  ")

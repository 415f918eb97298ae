"""What one file of several gave: the files of a measurement are read apart and joined afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calibration.observation import Observation


@dataclass(frozen=True, kw_only=True)
class Part:
    """The content of one file."""

    rows: tuple[Observation, ...]
    """In the order of the file."""
    warnings: tuple[str, ...] = ()
    """Sentences about what could mislead."""
    unknown: tuple[str, ...] = ()
    """Columns that are not known."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """Provenance that the file tells."""

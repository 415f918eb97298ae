"""Why is this the plan? Limits that bind, what more would cost, the best single type, what else costs nearly as little.

Everything is found by solving again: with one candidate alone, one instance more, other prices. What the curves would
be for another SLO only simulation knows; whoever can simulate hands it in.
"""

from __future__ import annotations

from optimizer.explanation import (
    Alternative,
    Binding,
    Explanation,
    LimitPrice,
    NotChosen,
    RequestPrice,
    SingleType,
    SloPrice,
)

__all__ = [
    "Alternative",
    "Binding",
    "Explanation",
    "LimitPrice",
    "NotChosen",
    "RequestPrice",
    "SingleType",
    "SloPrice",
]

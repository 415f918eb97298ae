"""What do price lists call a purchase plan? One spelling for each, and the names that must not be taken for one.

The names are those of :data:`simulator.purchase_plan.PLANS`. Lists spell them in many ways (``sp_compute_1yr``,
``RI 1 year partial upfront``); what can only mean one plan is read as it. What could mean two (a savings plan of
either scope, a reservation whose payment is not said) or means another thing (a convertible reservation, the cheapest
zone's spot price) keeps its own name: it is listed, and never taken for a plan.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from simulator.purchase_plan import PLAN_BY_PRICE_TYPE

MEANINGS: Final = {"spot_mean_az": ("spot", "the mean of its zones")}
"""Names that are read as a plan's although they say more: the plan's name, and what the source is told to add."""

_SPELLINGS: Final = (
    (r"ondemand", "on_demand"),
    (r"_effective$", ""),
    (r"(?<![a-z0-9])([13])_?y(?:ea)?rs?(?![a-z])", r"\1y"),
    (r"(?<![a-z0-9])12_?mo(?:nth)?s?(?![a-z])", "1y"),
    (r"(?<![a-z0-9])36_?mo(?:nth)?s?(?![a-z])", "3y"),
    (r"(no|partial|all)_?upfront", r"\1_upfront"),
    (r"full_?upfront", "all_upfront"),
    (r"^(?:ri|reserved_instance|reserved_standard|standard_reserved)_", "reserved_"),
    (r"^(?:sp|savingsplan)_", "savings_plan_"),
    (r"^compute_(?:sp|savings_plan)_", "savings_plan_compute_"),
    (r"^ec2_(?:instance_)?(?:sp|savings_plan)_", "savings_plan_ec2_instance_"),
    (r"^savings_plan_ec2_(?!instance_)", "savings_plan_ec2_instance_"),
    (r"^(?:committed_use|committed_use_discount|resource_cud)_", "cud_"),
    (r"^(?:flex_cud|flexible_cud|cud_flexible|spend_based_cud)_", "spend_cud_"),
    (r"^preemptible$", "spot"),
)


def normal_price_type(text: str) -> str:
    """One spelling for a price type: a plan's name where the text can only mean that plan, else the text itself.

    >>> normal_price_type("On-Demand"), normal_price_type("RI 1yr No Upfront")
    ('on_demand', 'reserved_1y_no_upfront')
    >>> normal_price_type("reserved_1y_partial_upfront_effective"), normal_price_type("sp_ec2_3y_all_upfront")
    ('reserved_1y_partial_upfront', 'savings_plan_ec2_instance_3y_all_upfront')
    >>> normal_price_type("sp_compute_or_ec2_1y_no_upfront"), normal_price_type("reserved_1y")
    ('sp_compute_or_ec2_1y_no_upfront', 'reserved_1y')
    """
    plain = re.sub(r"[\s/-]+", "_", text.strip().lower())
    if plain in MEANINGS:
        return MEANINGS[plain][0]
    name = plain
    for pattern, replacement in _SPELLINGS:
        name = re.sub(pattern, replacement, name)
    return name if name in PLAN_BY_PRICE_TYPE else plain


def remark_on(text: str) -> str:
    """What must the source of a price say when its type is read as a plan's? Blank for most.

    >>> remark_on("spot_mean_az")
    'spot_mean_az: the mean of its zones'
    """
    plain = re.sub(r"[\s/-]+", "_", text.strip().lower())
    return f"{plain}: {MEANINGS[plain][1]}" if plain in MEANINGS else ""


def unplanned_note(price_types: Iterable[str]) -> str | None:
    """Which price types name no purchase plan? One sentence, or None where all of them do.

    >>> unplanned_note(["on_demand", "cud1y", "cud1y"])
    "no purchase plan is called cud1y (2 rows, near cud_1y): never taken for a plan's rate"
    """
    unknown = Counter(name for name in price_types if name not in PLAN_BY_PRICE_TYPE)
    if not unknown:
        return None
    said = []
    for name, rows in unknown.items():
        longer = [plan for plan in PLAN_BY_PRICE_TYPE if plan.startswith(f"{name}_")]
        near = longer[:3] or difflib.get_close_matches(name, PLAN_BY_PRICE_TYPE, n=2, cutoff=0.75)
        hint = f", near {' or '.join(near)}" if near else ""
        said.append(f"{name} ({rows} row{'s' * (rows > 1)}{hint})")
    return f"no purchase plan is called {', '.join(said)}: never taken for a plan's rate"

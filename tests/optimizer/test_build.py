"""The program that the solver sees, read as text: one small question for each rule, its program beside it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from optimizer import build as rules
from optimizer.build import RULES, Program, build
from optimizer.commitments.direct import DirectProgram
from optimizer.problem import PlanProblem, Quota
from tests.optimizer.plan_problems import HOURLY_FEE, option, question

GOLDEN = Path(__file__).parent / "golden"


def two_options() -> PlanProblem:
    """The contract's example: 20 and 10 requests per second, on instances that carry 5 or 2, and 40 or 20."""
    return question([[20], [10]], option("a10g", 1.01, [5, 2]), option("a100", 3.67, [40, 20], max_instances=8))


def pooled_curve() -> PlanProblem:
    """An instance carries 6 alone, 8 from two on and 10 from four on."""
    return question([[30]], option("l4", 0.8, [[6, 8, 10]], counts=(1, 2, 4)))


def spare_instance() -> PlanProblem:
    """One instance more than needed, wherever any runs."""
    return question([[30]], option("l4", 0.8, [[6, 8]], counts=(1, 4), spare=1), option("t4", 0.5, [3], spare=1))


def three_zones() -> PlanProblem:
    """What is left when one of three zones is lost carries the load."""
    return question([[30]], option("l4", 0.8, [6], zones=3))


def quota() -> PlanProblem:
    """Two kinds of instance that share a quota, one of which has a limit of its own."""
    options = option("l4", 0.8, [6], max_instances=3), option("l4 large", 1.5, [13]), option("a100", 3.67, [40])
    return question([[70]], *options, quotas=(Quota("g6", (0, 1), 4),))


def accuracy_floor() -> PlanProblem:
    """A distilled model answers more and knows less; of one option the accuracy is not stated."""
    options = (
        option("full", 2.0, [10], accuracy=[0.9]),
        option("distilled", 2.0, [30], accuracy=[0.8]),
        option("unstated", 2.0, [40]),
    )
    return question([[60]], *options, min_accuracy=np.array([0.85]))


def memory() -> PlanProblem:
    """Two models of 16 GiB do not fit into 24 GiB, so that an option holds one of them."""
    memory_gib = {"memory_gib": [16, 16], "device_memory_gib": 24.0}
    return question([[20], [20]], option("l4", 0.8, [6, 6], **memory_gib), option("a10g", 1.01, [7, 7]))


def starts() -> PlanProblem:
    """A day of three hours that repeats: starting costs, and what was started stays for two hours."""
    return question([[10, 40, 0]], option("l4", 0.8, [10], hours=3, start_usd=0.5, min_up_hours=2), cyclic=True)


def starts_from_nothing() -> PlanProblem:
    """Hours that do not repeat: nothing runs before the first."""
    return question([[10, 40]], option("l4", 0.8, [10], hours=2, start_usd=0.5))


def budget_and_fees() -> PlanProblem:
    """An hour's budget pays for instances, for what requests cost beside them and for starts."""
    fees = {"usd_per_request": [0.02 / HOURLY_FEE]}
    options = option("far", 0.5, [10], start_usd=0.3, **fees), option("near", 0.9, [10])
    return question([[20]], *options, max_usd_per_hour=4.0, weight_h=np.array([730.0]))


QUESTIONS: tuple[Callable[[], PlanProblem], ...] = (
    two_options,
    pooled_curve,
    spare_instance,
    three_zones,
    quota,
    accuracy_floor,
    memory,
    starts,
    starts_from_nothing,
    budget_and_fees,
)


def text_of(program: Program | DirectProgram, folder: Path) -> list[str]:
    """The program in the LP format, lines within a section sorted: versions of PuLP differ in their order."""
    path = folder / "plan.lp"
    program.model.writeLP(str(path))
    lines, section = [], []
    for line in [*path.read_text(encoding="utf-8").replace("\n ", "\n\x00").splitlines(), "End"]:
        if line.startswith("\x00") and section and ":" in section[-1]:
            section[-1] += " " + line[1:]  # a long row goes on in the next line
        elif line in {"Minimize", "Subject To", "Bounds", "Generals", "Binaries", "End"}:
            lines += [*sorted(section), line]
            section = []
        else:
            section.append(line.replace("\x00", " "))
    return lines[:-1]


@pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)
def test_the_program_is_the_one_that_was_read(ask: Callable[[], PlanProblem], tmp_path: Path) -> None:
    """A changed program should be seen as a change, and read. An absent golden file is written, and read then."""
    path = GOLDEN / f"{ask.__name__}.lp"
    found = text_of(build(ask()), tmp_path)
    if not path.exists():
        header = [f"\\* {line.strip()} *\\" for line in (inspect.getdoc(ask) or "").splitlines()]
        path.write_text("\n".join([*header, *found]) + "\n", encoding="utf-8")
        pytest.fail(f"{path.name} was absent and has been written: read it")
    golden = path.read_text(encoding="utf-8").splitlines()
    assert golden[len((inspect.getdoc(ask) or "").splitlines()) :] == found


def test_every_rule_states_its_equation() -> None:
    """The docstring of a rule is where its equation is looked up."""
    assert [] == [rule.__name__ for rule in RULES if "=" not in (inspect.getdoc(rule) or "")]


def test_every_rule_has_a_row_in_a_golden_file() -> None:
    """A rule that no golden question brings out could change unseen."""
    programs = [build(ask()) for ask in QUESTIONS]
    assert [] == [rule.__name__ for rule in RULES if not any(list(rule(program)) for program in programs)]


def test_fractions_of_instances_are_allowed_in_the_relaxed_program_alone(tmp_path: Path) -> None:
    """A relaxed program with whole numbers left in it has no dual values."""
    whole = text_of(build(pooled_curve()), tmp_path)
    relaxed = text_of(build(pooled_curve(), relaxed=True), tmp_path)
    assert {"Generals", "Binaries"} <= set(whole)
    assert not {"Generals", "Binaries"} & set(relaxed)
    rows = slice(whole.index("Subject To"), whole.index("Bounds"))
    assert whole[rows] == relaxed[rows]


def test_a_shortfall_counts_requests_and_no_dollars(tmp_path: Path) -> None:
    """Where no plan exists, the question is how few requests must be left out, not what the rest costs."""
    lines = text_of(build(two_options(), shortfall=True), tmp_path)
    (objective,) = [line for line in lines if line.startswith("OBJ")]
    assert ["0.666666666667", "l_0_0", "+", "0.333333333333", "l_1_0"] == objective.split()[1:]


def test_the_same_text_builds_without_a_warning() -> None:
    """What PuLP 3.3 warns of is gone in PuLP 4."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ask in QUESTIONS:
            assert rules.build(ask()).fleets

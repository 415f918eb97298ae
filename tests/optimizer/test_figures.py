"""Figures say what they show, with units, and are the same file every time."""

from __future__ import annotations

from pathlib import Path

from calibration.figures import save_figure
from optimizer.figures import pareto_figure
from optimizer.pareto import Frontier, ParetoPoint


def point(value: float, usd: float | None, *, stated: bool = False, met: bool | None = True) -> ParetoPoint:
    status = "optimal" if usd is not None else "infeasible"
    return ParetoPoint(value, stated, usd, status, met, {"l4": 2} if usd else {}, None, "" if usd else "too slow")


LATENCY = Frontier(
    "latency",
    "",
    {"chat": {"p99": 200.0}},
    (point(0.5, None), point(0.7, 3000.0), point(1.0, 2000.0, stated=True), point(2.0, 1500.0, met=False)),
)
MANY = Frontier("latency", "", {"chat": {"p99": 200.0}, "search": {"p99": 50.0}}, LATENCY.points)
ACCURACY = Frontier("accuracy", "chat", {}, (point(0.9, 3000.0), point(0.7, 1000.0, stated=True)))


def svg(folder: Path, *frontiers: Frontier) -> str:
    path = folder / "pareto.svg"
    save_figure(pareto_figure("a day", frontiers), path)
    return path.read_text(encoding="utf-8")


def test_axes_have_units_and_the_chosen_plan_is_marked(tmp_path: Path) -> None:
    text = svg(tmp_path, LATENCY)
    for words in ("p99 target of chat (ms)", "cost (USD a month)", "the plan", "stated objective", "no plan exists"):
        assert words in text
    assert "$2,000" in text
    assert "not held in simulation" in text


def test_several_objectives_are_told_as_multiples(tmp_path: Path) -> None:
    text = svg(tmp_path, MANY)
    assert "×0.5" in text
    assert "chat p99 200 ms, search p99 50 ms" in text


def test_latency_and_accuracy_have_a_panel_each(tmp_path: Path) -> None:
    figure = pareto_figure("a day", [LATENCY, ACCURACY])
    assert 2 == len(figure.axes)
    assert "least mean accuracy of the answers to chat" in svg(tmp_path, LATENCY, ACCURACY)


def test_the_same_costs_give_the_same_bytes(tmp_path: Path) -> None:
    assert svg(tmp_path, LATENCY, ACCURACY) == svg(tmp_path, LATENCY, ACCURACY)


def test_a_frontier_without_any_plan_can_be_drawn(tmp_path: Path) -> None:
    nothing = Frontier("latency", "", {"chat": {"p99": 200.0}}, (point(0.5, None), point(1.0, None, stated=True)))
    assert "no plan exists" in svg(tmp_path, nothing)

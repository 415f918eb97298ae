"""Every control of the what-if reaches the engine; what is wrong is refused in its place and the page goes on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from presentation.door import given_shipped, workspace
from presentation.library import shipped
from presentation.look import look
from presentation.numbers import ms
from tests.app.pages import asked, deltas, figures, moved, opened

A30 = "tft-electricity-triton-fp16-a30"

SMALL = """\
schema: 1
name: small
horizon: 30s
profiles: {toy: {batch: [1, 8], latency_ms: [10, 24]}}
fleets:
  gpu: {profile: toy, usd_per_hour: 1.5, instances: 2}
workloads:
  search: {fleet: gpu, arrivals: {process: poisson, rate: 50}, slo: {p99: 100ms}}
"""


def test_the_app_opens_on_the_peak_already_answered() -> None:
    app = opened()
    assert "peak" == app.selectbox(key="scenario").value
    found = figures(app)
    assert ["p99", "Headroom", "Cost/hour", "Cost/month", "Cost/1,000"] == list(found)
    assert ("$2.10", "$1,536") == (found["Cost/hour"], found["Cost/month"])
    assert "SLO met" in app.markdown[0].value
    assert any("95% interval" in caption.value for caption in app.caption)
    assert "simulate scenarios/peak.yaml" == asked(app)


def test_the_answer_is_that_of_the_engine() -> None:
    with workspace(given_shipped(shipped()["peak"])) as space:
        report = look(space.scenario(("fleets.gpu.instances=6",))).report
    app = moved(opened(), "slider", "instances", 6)
    assert report.workloads[0].latency_ms is not None
    assert ms(report.workloads[0].latency_ms.p99) == figures(app)["p99"]


@pytest.mark.parametrize(
    ("kind", "key", "value", "change"),
    [
        ("slider", "load", 120, "workloads.forecast.arrivals.scale=0.3"),
        ("slider", "instances", 5, "fleets.gpu.instances=5"),
        ("select_slider", "batch", 128, "fleets.gpu.batching.max_batch_size=128"),
        ("slider", "delay", 5.0, "fleets.gpu.batching.max_queue_delay=5ms"),
        ("slider", "slo", 45.0, "workloads.forecast.slo.p99=45ms"),
        ("slider", "at_once", 1, "fleets.gpu.model_instances=1"),
        ("selectbox", "type", "g6.xlarge", "fleets.gpu.instance_type=g6.xlarge"),
        ("selectbox", "profile", A30, f"fleets.gpu.profile={A30}"),
        ("text_area", "set", "fleets.gpu.router=round_robin", "fleets.gpu.router=round_robin"),
    ],
)  # fmt: skip
def test_every_control_reaches_the_engine(kind: str, key: str, value: Any, change: str) -> None:
    """The change is in the command line, and some figure moves with it."""
    before = opened()
    answer = figures(before)
    app = moved(before, kind, key, value)
    assert f"simulate scenarios/peak.yaml --set {change}" == asked(app)
    assert answer != figures(app)
    assert any(deltas(app).values())


def test_every_change_shows_its_signed_difference() -> None:
    app = moved(opened(), "slider", "instances", 3)
    told = deltas(app)
    assert "−$0.526 (−25%)" == told["Cost/hour"]
    assert re.fullmatch(r"\+\d+ ms \(\+\d+%\)", told["p99"])
    assert "SLO missed" in app.markdown[0].value


def test_the_purchase_plans_on_offer_are_those_with_a_price() -> None:
    """AWS sells no commitment for a g4dn in the price list; Google does for a g2."""
    app = opened()
    assert ["on demand · $0.526/h"] == app.selectbox(key="purchase").options
    moved(app, "selectbox", "scenario", "reserved")
    assert "committed use, 1 year · $0.445/h" in app.selectbox(key="purchase").options
    moved(app, "selectbox", "purchase", "cud_1y")
    assert "commitments.what-if={plan: committed_use" in asked(app)
    assert not app.error
    assert any(deltas(app).values())


def test_a_price_of_other_hardware_is_told() -> None:
    app = moved(opened(), "selectbox", "type", "g6.xlarge")
    assert any("priced as g6.xlarge (L4)" in warning.value for warning in app.warning)


def test_the_way_back_is_one_click() -> None:
    app = moved(opened(), "slider", "instances", 3)
    next(button for button in app.button if button.label.startswith("Back")).click().run()
    assert "simulate scenarios/peak.yaml" == asked(app)
    assert 4 == app.slider(key="instances").value


def test_another_scenario_begins_at_its_own_values() -> None:
    app = moved(opened(), "slider", "instances", 9)
    moved(app, "selectbox", "scenario", "hello")
    assert 1 == app.slider(key="instances").value
    assert "simulate scenarios/hello.yaml" == asked(app)


def test_every_shipped_scenario_has_its_answer() -> None:
    app = opened()
    for name in shipped():
        moved(app, "selectbox", "scenario", name)
        assert 5 == len(app.metric), name
        assert not app.error, name


def test_each_workload_can_be_looked_at() -> None:
    app = moved(opened(), "selectbox", "scenario", "burst")
    moved(app, "selectbox", "workload", "bursts")
    assert "bursts at " in app.markdown[0].value
    moved(app, "slider", "instances", 4)
    assert "fleets.for-bursts.instances=4" in asked(app)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fleets.gpu.instancs=3", "Did you mean 'instances'?"),
        ("horizon=600", "horizon: needs a unit, for instance 5ms"),
        ("nonsense", "must have the form path.to.key=value"),
        ("workloads.forecast.arrivals.file=/etc/passwd", "must be a file beside the scenario"),
        ("fleets.gpu.instance_type=g99.huge", "must be in a price catalogue"),
        ("workloads.forecast.arrivals.file=traces/none.csv", "does not exist"),
    ],
)
def test_a_wrong_change_is_refused_in_place_and_the_page_goes_on(text: str, words: str) -> None:
    app = moved(opened(), "text_area", "set", text)
    assert 1 == len(app.error)
    assert words in app.error[0].value
    moved(app, "text_area", "set", "")
    assert not app.error
    assert 5 == len(app.metric)


def test_a_pasted_scenario_is_answered() -> None:
    app = moved(opened(), "selectbox", "scenario", "Paste …")
    assert 0 == len(app.metric)
    assert any("Paste the YAML" in info.value for info in app.info)
    moved(app, "text_area", "scenario_text", SMALL)
    assert "$3.00" == figures(app)["Cost/hour"]
    moved(app, "slider", "instances", 1)
    assert "simulate pasted.yaml --set fleets.gpu.instances=1" == asked(app)


def test_a_pasted_mistake_has_its_line_and_its_remedy() -> None:
    app = moved(opened(), "selectbox", "scenario", "Paste …")
    moved(app, "text_area", "scenario_text", SMALL.replace("horizon: 30s", "horizon: 30"))
    assert "pasted.yaml:3:10: horizon: needs a unit, for instance 5ms, got 30." in app.error[0].value


def test_an_uploaded_scenario_comes_with_its_files() -> None:
    app = moved(opened(), "selectbox", "scenario", "Upload …")
    assert any("Drop a scenario" in info.value for info in app.info)
    text = SMALL.replace("{process: poisson, rate: 50}", "{process: trace, file: mine.csv}").replace(
        "horizon: 30s\n", ""
    )
    rows = "arrival_s\n" + "".join(f"{0.05 * row:.2f}\n" for row in range(400))
    uploader = app.file_uploader(key="scenario_files")
    uploader.set_value([("small.yaml", text.encode(), "text/yaml"), ("mine.csv", rows.encode(), "text/csv")])
    app.run()
    assert not app.exception
    assert not app.error
    assert "simulate small.yaml" == asked(app)


def test_an_upload_without_a_scenario_is_refused_in_place() -> None:
    app = moved(opened(), "selectbox", "scenario", "Upload …")
    app.file_uploader(key="scenario_files").set_value([("mine.csv", b"arrival_s\n1\n", "text/csv")])
    app.run()
    assert "must be one YAML file" in app.error[0].value
    moved(app, "selectbox", "scenario", "hello")
    assert 5 == len(app.metric)


def test_everything_that_is_seen_can_be_taken_away() -> None:
    labels = [button.label for button in opened().download_button]
    assert ["Scenario as changed (YAML)", "Report (Markdown)", "Report (JSON)", "Figures of the report (CSV)",
            "Charts (HTML)"] == labels  # fmt: skip


def test_the_whole_run_is_the_command_lines() -> None:
    app = moved(opened(), "selectbox", "scenario", "hello")
    app.button(key="run_whole").click().run()
    assert not app.exception
    assert any(str(code.value).startswith("hello: the SLO is met") for code in app.code)
    assert "Whole report (JSON)" in [button.label for button in app.download_button]


def test_without_a_rule_that_waits_there_is_no_delay_to_turn() -> None:
    """A control without effect would be refused by the scenario."""
    app = moved(opened(), "selectbox", "scenario", "Paste …")
    moved(app, "text_area", "scenario_text", SMALL)
    assert {"load", "instances", "slo", "at_once"} == {slider.key for slider in app.slider}

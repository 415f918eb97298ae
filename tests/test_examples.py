"""Every scenario that ships answers the question in its header, and README prints what the commands print.

Engines and settings may change; the answer in a header may not silently become wrong.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from calibration.profile_file import read_profile
from tests.command_line import Ran, calibrate, simulate

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "scenarios"
README = (ROOT / "README.md").read_text(encoding="utf-8")


@cache
def report_of(name: str, *settings: str) -> Any:
    """The JSON report of a scenario, run once for all tests."""
    words = [word for setting in settings for word in ("--set", setting)]
    ran = simulate(SCENARIOS / f"{name}.yaml", "--json", "--quiet", *words)
    assert (0, "") == (ran.code, ran.err)
    return ran.json()


def p99_ms(report: Any, workload: str) -> float:
    """The p99 that the SLO is judged by."""
    return float(report["workloads"][workload]["slo"]["values"]["p99_ms"])


def hello() -> None:
    """Does one GPU hold a p99 of 80 ms when 350 requests a second arrive at random?"""
    report = report_of("hello")
    assert report["slo_met"] is True
    assert 60 < p99_ms(report, "search") < 80


def peak() -> None:
    """Four instances hold it with about a sixth to spare; three miss it several times over."""
    report = report_of("peak")
    slo = report["workloads"]["forecast"]["slo"]
    assert slo["met"] is True
    assert 0.10 < slo["margin_ms"]["p99_ms"] / slo["targets"]["p99_ms"] < 0.25
    assert 4 * 0.526 == pytest.approx(report["cost"]["usd_per_hour"])
    short = report_of("peak", "fleets.gpu.instances=3")
    assert short["slo_met"] is False
    assert p99_ms(short, "forecast") > 3 * slo["targets"]["p99_ms"]


def burst() -> None:
    """Bursts take the p99 from about 35 ms to most of a second; two more instances hold the objective."""
    report = report_of("burst")
    assert report["workloads"]["steady"]["slo"]["met"] is True
    assert 30 < p99_ms(report, "steady") < 40
    assert 500 < p99_ms(report, "bursts") < 1500
    assert 0.9 < report["workloads"]["bursts"]["offered_rps"] / report["workloads"]["steady"]["offered_rps"] < 1.1
    assert report["fleets"]["for-steady"]["offered_load"] < 1 / 3
    larger = report_of("burst", "fleets.for-bursts.instances=4")
    assert larger["workloads"]["bursts"]["slo"]["met"] is True


def trace() -> None:
    """The recorded clumps miss 100 ms at the p95 several times over; the same load at random holds it easily."""
    report = report_of("trace")
    recorded, random = (report["workloads"][name] for name in ("recorded", "random"))
    assert 300 == recorded["outcomes"]["arrived"]
    assert 0.06 < report["fleets"]["for-recorded"]["utilisation"] < 0.10
    assert recorded["slo"]["met"] is False
    assert recorded["slo"]["values"]["p95_ms"] > 300
    assert random["slo"]["met"] is True
    assert 15 < random["slo"]["values"]["p95_ms"] < 30


def closed_loop() -> None:
    """Throughput levels off from 8 clients on while latency goes on rising; p95 <= 30 ms holds up to 8."""
    workloads = report_of("closed_loop")["workloads"]
    clients = [int(name.split()[0]) for name in workloads]
    assert [1, 2, 4, 8, 16, 32] == clients
    assert [n <= 8 for n in clients] == [workload["slo"]["met"] for workload in workloads.values()]
    items = {n: workload["items_per_s"] for n, workload in zip(clients, workloads.values(), strict=True)}
    mean_ms = {n: workload["latency_ms"]["mean"] for n, workload in zip(clients, workloads.values(), strict=True)}
    assert 1.2 < items[32] / items[8] < 1.5
    assert 2.5 < mean_ms[32] / mean_ms[8] < 3.5
    for n, workload in zip(clients, workloads.values(), strict=True):
        # Little's law; a client thinks for 0.1 ms.
        assert n == pytest.approx(workload["throughput_rps"] * (mean_ms[n] + 0.1) / 1e3, rel=0.01)
    # NVIDIA's "online" table of the same test, see the header: within a quarter, with everything taken from the
    # "offline" table.
    printed = {8: (10_048.0, 12.6), 16: (8_464.0, 29.9), 32: (9_568.0, 53.1)}
    for n, (items_per_s, latency_ms) in printed.items():
        assert items_per_s == pytest.approx(items[n], rel=0.25)
        assert latency_ms == pytest.approx(mean_ms[n], rel=0.25)


def reserved() -> None:
    """The fleet costs 2.46 USD an hour instead of 4.24; the commitment pays from 45% of use on."""
    report = report_of("reserved")
    assert report["slo_met"] is True
    cost, base = report["cost"], report["cost"]["commitments"]["base"]
    assert (2.46, 4.24) == (round(cost["usd_per_hour"], 2), round(6 * 0.706832, 2))
    assert (1.17, 0.45) == (round(base["saved_usd_per_hour"], 2), round(base["break_even_utilisation"], 2))
    half = report_of("reserved", "fleets.online.instances=2", "workloads.questions.arrivals.rate=1700")
    quarter = report_of("reserved", "fleets.online.instances=1", "workloads.questions.arrivals.rate=850")
    assert half["slo_met"] is quarter["slo_met"] is True
    assert half["cost"]["commitments"]["base"]["saved_usd_per_hour"] > 0
    assert -0.25 == round(quarter["cost"]["commitments"]["base"]["saved_usd_per_hour"], 2)
    assert "commitment_loses" in {caution["code"] for caution in quarter["cautions"]}


ANSWERS: dict[str, Callable[[], None]] = {
    "burst": burst,
    "closed_loop": closed_loop,
    "hello": hello,
    "peak": peak,
    "reserved": reserved,
    "trace": trace,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_scenario_answers_the_question_of_its_header(name: str) -> None:
    ANSWERS[name]()


@pytest.mark.slow
def test_what_else_the_header_of_peak_says() -> None:
    """The short sibling is the answer itself, above. If the peak minute lasted it would overload the fleet."""
    lasting = report_of("peak", "workloads.forecast.arrivals.scale=0.37")
    assert lasting["fleets"]["gpu"]["unstable"] is True
    assert lasting["slo_met"] is False
    cost, day = (report_of("peak", *changes)["cost"]["usd_per_1k_requests"] for changes in ((), ("warmup=0s",)))
    assert 3 < day / cost < 5


def test_every_scenario_is_tested() -> None:
    """A scenario that nobody runs is the first thing a newcomer finds broken."""
    shipped = {path.stem for path in SCENARIOS.glob("*.y*ml")}
    assert sorted(ANSWERS) == sorted(name for name in shipped if not name.startswith(("plan_", "budget_")))


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_scenario_begins_with_its_question(path: Path) -> None:
    header = re.match(r"(#.*\n)+", path.read_text(encoding="utf-8"))
    assert header, "a scenario starts with a comment"
    words = re.sub(r"\s*\n#\s*", " ", header[0].strip()).lstrip("# ")
    assert "?" in words
    assert path.stem == "hello" or "Answer: " in words


def test_hello_fits_on_a_screen() -> None:
    assert 20 == len((SCENARIOS / "hello.yaml").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", sorted((SCENARIOS / "profiles").iterdir()), ids=lambda path: path.name)
def test_a_shipped_profile_says_where_it_was_measured(path: Path) -> None:
    """A curve without provenance is a guess that looks like a measurement."""
    profile = read_profile(path)
    assert {"source", "device", "date", "url", "commit", "licence", "method", "changes"} <= set(profile.provenance)
    assert f"`{path.name}`" in (SCENARIOS / "SOURCES.md").read_text(encoding="utf-8")


def test_the_parts_of_a_shipped_profile_add_up_to_the_printed_latency() -> None:
    """The printed mean end-to-end latency is the sum of the parts it was split into, to the rounding of the table."""
    for path in sorted((SCENARIOS / "profiles").iterdir()):
        profile = read_profile(path)
        parts = ["client_send", "network_server_send_recv", "server_queue", "server_compute_input"]
        parts += ["server_compute_output", "client_recv"]
        for index, latency_ms in enumerate(profile.latency_ms):
            printed = profile.notes["end_to_end_mean_ms"][index]
            total = latency_ms + sum(profile.notes[f"{part}_ms"][index] for part in parts)
            assert printed == pytest.approx(total, abs=0.25), f"{path.name} at batch {profile.batch[index]}"


def normal(text: str) -> str:
    """The same text without what changes from day to day: a price grows old."""
    return re.sub(r"price is \d+ months old", "price is N months old", text)


def outputs() -> list[tuple[str, str]]:
    """Each ``<!-- output: COMMAND -->`` of README with the fenced block under it."""
    return re.findall(r"<!-- output: (.+?) -->\n```[a-z]*\n(.*?)```", README, flags=re.DOTALL)


@cache
def ran(command: str) -> Ran:
    """Run a command that README shows, from the root of the repository."""
    program, *words = shlex.split(command)
    return {"calibrate": calibrate, "simulate": simulate}[program](*words)


@pytest.mark.parametrize(("command", "shown"), outputs(), ids=[command for command, _ in outputs()])
def test_readme_shows_what_its_commands_print(command: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = ran(command)
    printed = done.out if done.code in (0, 4) else done.err
    lines = normal(printed).splitlines()
    shown_lines = normal(shown).splitlines()
    if shown_lines[-1] == "...":
        shown_lines = shown_lines[:-1]
        lines = lines[: len(shown_lines)]
    assert lines == shown_lines, "README shows something else than is printed"


def test_readme_shows_the_files_that_ship() -> None:
    shown = re.findall(r"<!-- file: (.+?) -->\n```[a-z]*\n(.*?)```", README, flags=re.DOTALL)
    assert ["scenarios/hello.yaml"] == [name for name, _ in shown]
    for name, text in shown:
        assert (ROOT / name).read_text(encoding="utf-8") == text


def test_readme_has_the_two_commands() -> None:
    """.ci/run takes them from there."""
    blocks = dict(re.findall(r"<!-- command: (\w+) -->\n```sh\n(.*?)```", README, flags=re.DOTALL))
    assert {"run", "test"} == set(blocks)
    assert blocks["run"].strip().endswith(".venv/bin/simulate scenarios/peak.yaml")
    assert blocks["test"].strip().endswith(".venv/bin/pytest")


def test_readme_and_docs_link_to_files_that_exist() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), SCENARIOS / "SOURCES.md"]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
        for named in re.findall(r"scenarios/[\w/.-]+\.yaml", text):
            assert (ROOT / named).exists(), f"{page.name} names {named}"

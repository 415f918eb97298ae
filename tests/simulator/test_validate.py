"""``simulate validate``: what is read, what is simulated for it, what is said, and when it fails."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.catalogue import shipped
from calibration.observation import Observation, Observations
from calibration.problems import InputError
from calibration.profile_file import read_profile_file
from simulator.compiling import compile_model
from simulator.run import run
from simulator.scenario import scenario_from
from simulator.study import simulate
from simulator.validate import validate
from simulator.validation_cases import Server, cases_of
from simulator.validation_files import read_measured
from simulator.validation_options import within
from simulator.validation_page import validation_lines, validation_object
from simulator.validation_scenario import Setting, scenario_of
from tests.command_line import Ran
from tests.command_line import simulate as command

BATCHING = {"policy": "dynamic", "max_batch_size": 8, "max_queue_delay": "2ms"}
SERVER = Server(max_batch_size=8, max_queue_delay_ms=2.0)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """4 ms for one item, 11 ms for eight."""
    file = tmp_path / "toy.json"
    content = {
        "schema": 1,
        "provenance": {"model": "toy", "device": "T4"},
        "service_model": {
            "batch": [1, 8],
            "latency_ms": [4.0, 11.0],
            "overheads": {"enqueue_ms": 0.2, "dispatch_ms": 0.3, "reply_ms": 0.4, "frontend_ms": 0.05},
        },
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def measured_at(profile: Path, arrivals: dict[str, Any], seed: int = 99) -> Any:
    """What a server that is exactly like the profile shows at this load."""
    fleet = {"profile": "toy", "usd_per_hour": 1.0, "instances": 1, "batching": BATCHING}
    content = {
        "schema": 1,
        "name": "the real thing",
        "seed": seed,
        "horizon": "60s",
        "profiles": {"toy": str(profile)},
        "fleets": {"gpu": fleet},
        "workloads": {"clients": {"fleet": "gpu", "arrivals": arrivals}},
    }
    return scenario_from(content)


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A CSV file with these rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def row_of(profile: Path, load: dict[str, float], arrivals: dict[str, Any]) -> dict[str, Any]:
    """A row of a table of loads, measured on that server."""
    (seen,) = simulate(measured_at(profile, arrivals)).workloads
    assert seen.latency_ms is not None
    latency = seen.latency_ms
    return {
        **load,
        "throughput_rps": seen.throughput_rps,
        "mean_ms": latency.mean,
        "p50_ms": latency.p50,
        "p99_ms": latency.p99,
    }


@pytest.fixture
def loads(profile: Path, tmp_path: Path) -> Path:
    """An open loop at half load and a closed one of 16 clients."""
    rows = [
        row_of(profile, {"rate_rps": 250}, {"process": "poisson", "rate": 250}),
        row_of(profile, {"concurrency": 16}, {"process": "closed_loop", "concurrency": 16}),
    ]
    return table(tmp_path / "loads.csv", rows)


def run_it(profile: Path, *arguments: object) -> Ran:
    """``simulate validate`` with the server's settings."""
    return command("validate", profile, *arguments, "--max-batch-size", 8, "--max-queue-delay", "2ms")


def test_a_server_that_is_its_profile_is_predicted_within_the_luck_of_the_draw(profile: Path, loads: Path) -> None:
    """Otherwise the loads simulated are not the loads measured."""
    result = validate(read_measured([loads]), Setting(profile=profile, server=SERVER))
    assert ["250/s", "16 clients"] == [row.case.load for row in result.rows]
    for row in result.rows:
        for name in ("throughput", "mean", "p50", "p99"):
            error = row.error(name)
            assert error is not None
            assert abs(error) < (0.05 if name == "p99" else 0.03)


def test_replayed_requests_without_noise_are_met_to_the_microsecond(profile: Path, tmp_path: Path) -> None:
    """A replay that shifts, drops or reorders arrivals would show."""
    log = run(compile_model(measured_at(profile, {"process": "poisson", "rate": 300})))
    due_s = log.requests.arrival_ns / 1e9 + 5.0
    latency_ms = (log.requests.left_ns - log.requests.arrival_ns) / 1e6
    order = np.random.default_rng(0).permutation(len(due_s))
    rows = [{"scheduled_s": f"{due_s[i]:.9f}", "latency_ms": f"{latency_ms[i]:.6f}"} for i in order]
    file = table(tmp_path / "requests.csv", rows)
    result = validate(read_measured([file]), Setting(profile=profile, server=SERVER))
    (row,) = result.rows
    assert row.case.sent_s is not None
    for name in ("mean", "p50", "p90", "p99"):
        assert row.error(name) == pytest.approx(0.0, abs=1e-5)
    assert row.error("throughput") is None


def test_single_requests_are_told_apart_by_load_and_by_success(tmp_path: Path) -> None:
    """A failed request was sent, but its latency says nothing."""
    rows = [
        *({"rate_rps": 10, "scheduled_s": i / 10, "latency_ms": 5.0, "status": 200} for i in range(20)),
        *({"rate_rps": 20, "scheduled_s": i / 20, "latency_ms": 6.0, "status": 200} for i in range(20)),
        {"rate_rps": 20, "scheduled_s": 2.0, "latency_ms": 900.0, "status": 503},
        *({"concurrency": 4, "scheduled_s": i, "latency_ms": 7.0, "items": 2, "status": 200} for i in range(5)),
    ]
    cases = read_measured([table(tmp_path / "requests.csv", rows)]).cases
    assert [case.load for case in cases] == ["10/s replayed", "20/s replayed", "4 clients x 2"]
    assert [case.measured["p99_ms"] for case in cases] == [5.0, 6.0, 7.0]
    assert cases[1].sent_s is not None
    assert len(cases[1].sent_s) == 21
    assert (cases[2].concurrency, cases[2].items, cases[2].sent_s) == (4, 2, None)


def test_what_the_user_says_of_the_server_wins_over_the_file(profile: Path, tmp_path: Path) -> None:
    """A file may tell another instance group than the one that was started."""
    row = {"concurrency": 4, "p50_ms": 9, "max_batch_size": 4, "model_instances": 2, "preferred_batch_sizes": "2;4"}
    (case,) = read_measured([table(tmp_path / "loads.csv", [row])]).cases
    own = scenario_of(case, Setting(profile=profile), tmp_path).fleets["server"]
    assert (own.model_instances, own.batching.max_batch_size, own.batching.preferred_batch_sizes) == (2, 4, (2, 4))
    told = Server(max_batch_size=8, model_instances=1, rule="mosec")
    other = scenario_of(case, Setting(profile=profile, server=told), tmp_path).fleets["server"]
    assert (other.model_instances, other.batching.max_batch_size, other.batching.rule) == (1, 8, "mosec")
    assert other.batching.preferred_batch_sizes == ()


def test_no_largest_batch_means_no_batching(profile: Path, tmp_path: Path) -> None:
    """Guessing one would invent a server; the page says what was assumed."""
    (case,) = read_measured([table(tmp_path / "loads.csv", [{"concurrency": 4, "p50_ms": 9}])]).cases
    assert scenario_of(case, Setting(profile=profile), tmp_path).fleets["server"].batching.policy == "none"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Observation(concurrency=2, latency_ms={"p50": 9}, ttft_ms={"p50": 3}), "LLM"),
        (Observation(latency_ms={"p50": 9}), "no concurrency and no rate"),
        (Observation(rate_rps=float("inf"), latency_ms={"p50": 9}), "at once"),
        (Observation(concurrency=2.5, latency_ms={"p50": 9}), "2.5 requests outstanding"),
        (Observation(concurrency=2, batch=1.5, latency_ms={"p50": 9}), "1.5 items"),
        (Observation(concurrency=2), "no latency"),
    ],
)
def test_rows_that_cannot_be_simulated_are_named_with_the_reason(row: Observation, reason: str) -> None:
    """A row that silently disappears would make the table look complete."""
    cases, left_out = cases_of(Observations(rows=(row,), scope="server"))
    assert cases == []
    assert reason in left_out[0].reason


def test_executions_on_the_device_are_no_load() -> None:
    """They were measured without a server: nothing queues there."""
    row = Observation(concurrency=1, latency_ms={"mean": 5.0})
    _, left_out = cases_of(Observations(rows=(row,), scope="device"))
    assert "timed on the device" in left_out[0].reason


def test_merged_rows_send_single_items_and_compare_the_mean_batch() -> None:
    """Their batch is what the server formed, not what a request carried."""
    row = Observation(concurrency=8, batch=5.5, merged=True, latency_ms={"p50": 9})
    (case,), _ = cases_of(Observations(rows=(row,), scope="server", provenance={"server": "Ray Serve 2.9"}))
    assert (case.items, case.measured["batch_mean"], case.server.rule) == (1, 5.5, "ray_serve")


def test_requests_larger_than_the_profile_are_left_out(profile: Path, tmp_path: Path) -> None:
    """One row outside the profile should not cost the others."""
    rows = [{"concurrency": 1, "batch": 64, "p50_ms": 9}, {"concurrency": 1, "batch": 8, "p50_ms": 12}]
    result = validate(read_measured([table(tmp_path / "loads.csv", rows)]), Setting(profile=profile))
    assert ["1 client x 8"] == [row.case.load for row in result.rows]
    assert "covers batches of 1 to 8" in result.left_out[0].reason


def test_only_loads_up_to_the_utilisation_are_judged(profile: Path, loads: Path) -> None:
    """Near saturation a per cent of capacity is a fifth of the p99."""
    rows = [*csv.DictReader(loads.read_text(encoding="utf-8").splitlines())]
    rows[1]["p99_ms"] = "1"
    table(loads, rows)
    measured, setting = read_measured([loads]), Setting(profile=profile, server=SERVER)
    all_of_them = validate(measured, setting)
    some = validate(measured, setting, up_to=0.8)
    assert all_of_them.missed({"p99": 0.1})[0][:2] == ("p99", all_of_them.rows[1])
    assert some.missed({"p99": 0.1}) == []
    assert (len(some.rows), len(some.judged), some.summaries()["p99"].loads) == (2, 1, 1)
    assert any(line.startswith("* not judged: 1 of 2") for line in validation_lines(some))


def test_a_queue_that_grows_for_ever_is_not_judged(profile: Path, tmp_path: Path) -> None:
    """Its latency says only how long the run was."""
    file = table(tmp_path / "loads.csv", [{"rate_rps": 5000, "p50_ms": 9, "throughput_rps": 700}])
    result = validate(read_measured([file]), Setting(profile=profile, server=SERVER, requests=2000))
    assert result.rows[0].unstable
    assert result.judged == ()
    assert any("No load is judged" in line for line in validation_lines(result))


def test_repeats_of_a_load_give_the_noise_floor(profile: Path, tmp_path: Path) -> None:
    """90 and 110 lie 10 % around their mean, and no model can be closer to both."""
    rows = [{"concurrency": 4, "p50_ms": value} for value in (9.0, 11.0)]
    result = validate(read_measured([table(tmp_path / "loads.csv", rows)]), Setting(profile=profile))
    assert result.summaries()["p50"].noise == pytest.approx(0.1)
    assert any("+-10%" in line for line in validation_lines(result))


def test_throughput_that_contradicts_littles_law_is_pointed_out(profile: Path, tmp_path: Path) -> None:
    """A tool that counts only whole requests in its window reads too low a throughput."""
    rows = [{"concurrency": 4, "mean_ms": 100, "throughput_rps": 32}]
    result = validate(read_measured([table(tmp_path / "loads.csv", rows)]), Setting(profile=profile))
    assert "by up to 20%, 4 clients" in result.warnings[0]


def test_the_scenario_s_own_fleet_can_stand_for_the_server(profile: Path, loads: Path, tmp_path: Path) -> None:
    """A fleet of a scenario says everything about the server; only load and profile are changed."""
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "schema: 1\nname: mine\nhorizon: 1s\n"
        "profiles: {other: {batch: [1, 8], latency_ms: [1, 2]}}\n"
        "fleets: {gpu: {profile: other, usd_per_hour: 1, instances: 1,"
        " batching: {policy: dynamic, max_batch_size: 8, max_queue_delay: 2ms}}}\n"
        "workloads: {w: {fleet: gpu, arrivals: {process: poisson, rate: 1}}}\n",
        encoding="utf-8",
    )
    own = command("validate", profile, "--against", loads, "--scenario", file, "--json").json()
    told = run_it(profile, "--against", loads, "--json").json()
    assert own["loads"] == told["loads"]


def test_a_scenario_with_two_fleets_is_refused(profile: Path, loads: Path, tmp_path: Path) -> None:
    """Nothing says which of them was measured."""
    file = tmp_path / "fleets.yaml"
    fleet = "{profile: p, usd_per_hour: 1, instances: 1}"
    file.write_text(
        "schema: 1\nname: two\nhorizon: 1s\nprofiles: {p: {batch: [1], latency_ms: [1]}}\n"
        f"fleets: {{a: {fleet}, b: {fleet}}}\n"
        "workloads: {w: {fleet: a, arrivals: {process: poisson, rate: 1}},"
        " v: {fleet: b, arrivals: {process: poisson, rate: 1}}}\n",
        encoding="utf-8",
    )
    ran = command("validate", profile, "--against", loads, "--scenario", file)
    assert (ran.code, "fleets: must hold one fleet" in ran.err) == (2, True)
    both = run_it(profile, "--against", loads, "--scenario", file)
    assert "--scenario: must not be given beside options of the server" in both.err


def test_the_gate_decides_the_exit_code(profile: Path, loads: Path) -> None:
    """Somebody's pipeline stops on it."""
    assert run_it(profile, "--against", loads, "--within", "p50=5%,throughput=0.05", "--check").code == 0
    failed = run_it(profile, "--against", loads, "--within", "p50=0.00001%", "--check")
    assert (failed.code, "Does not hold: p50" in failed.out) == (4, True)
    assert run_it(profile, "--against", loads, "--within", "p50=0.00001%").code == 0
    ran = run_it(profile, "--against", loads, "--check")
    assert (ran.code, "--check: needs --within" in ran.err) == (2, True)


def test_a_gate_on_what_was_not_measured_does_not_hold(profile: Path, tmp_path: Path) -> None:
    """Else a file without percentiles would pass every gate on them."""
    file = table(tmp_path / "loads.csv", [{"concurrency": 4, "mean_ms": 20}])
    ran = run_it(profile, "--against", file, "--within", "mean=9900%,p99=10%", "--check")
    assert (ran.code, "p99 was measured at no load that is judged" in ran.out) == (4, True)
    overloaded = table(tmp_path / "over.csv", [{"rate_rps": 5000, "p99_ms": 9}])
    assert run_it(profile, "--against", overloaded, "--requests", 1000, "--within", "p99=10%", "--check").code == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [("p51=5%", "p50"), ("p50", "greater than 0"), ("p50=-1%", "greater than 0"), ("p50=nan", "greater than 0")],
)
def test_gates_that_mean_nothing_are_refused(text: str, told: str) -> None:
    """A gate that cannot fail is worse than none."""
    with pytest.raises(InputError, match="--within") as error:
        within(text, check=True)
    assert told in str(error.value)


def test_json_holds_what_the_page_says(profile: Path, loads: Path) -> None:
    """Programs read the same numbers as people."""
    ran = run_it(profile, "--against", loads, "--json", "--within", "p50=5%")
    told = ran.json()
    assert (told["holds"], told["missed"], len(told["loads"])) == (True, [], 2)
    assert told["loads"][1]["concurrency"] == 16
    assert set(told["errors"]) == {"throughput", "mean", "p50", "p99"}
    page = run_it(profile, "--against", loads).out
    assert f"{told['loads'][1]['measured']['p50_ms']:.1f}" in page
    assert "16 clients" in page
    assert "batches of up to 8, delay 2 ms" in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--against", "absent.csv"), "absent.csv: does not exist"),
        (("--against", "LOADS", "--rule", "tritn"), "Did you mean 'triton'?"),
        (("--against", "LOADS", "--max-queue-delay", "5"), "--max-queue-delay: needs a unit"),
        (("--against", "LOADS", "--preferred-batch-sizes", "a"), "--preferred-batch-sizes: must be whole numbers"),
        (("--against", "LOADS", "--max-batch-size", "9"), "--max-batch-size: must be at most 8"),
        (("--against", "LOADS", "--format", "perf"), "perf-analyzer"),
        (("--against", "PROFILE"), "must hold loads"),
        (("--against", "BAD"), "must have a column concurrency or rate_rps"),
        (("--against", "CELLS"), "CELLS.csv:2:1: concurrency: must be a number of at least 1, got 'many'"),
        (("--against", "ONLY_LLM"), "must hold a load that can be simulated, got requests to an LLM"),
    ],
)
def test_input_that_cannot_be_used_ends_with_a_sentence(
    profile: Path, loads: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """No traceback, exit code 2, and the place to mend."""
    table(tmp_path / "BAD.csv", [{"clients": 4, "p50_ms": 3}])
    table(tmp_path / "CELLS.csv", [{"concurrency": "many", "p50_ms": 3}])
    table(tmp_path / "ONLY_LLM.csv", [{"concurrency": 4, "p50_ms": 3, "prompt_tokens": 100}])
    files = {"LOADS": loads, "PROFILE": profile, **{n: tmp_path / f"{n}.csv" for n in ("BAD", "CELLS", "ONLY_LLM")}}
    ran = command("validate", profile, *(files.get(word, word) for word in arguments))
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_a_profile_that_is_none_is_refused(loads: Path) -> None:
    """The first argument is the profile, and a common slip is to give the measurements."""
    ran = command("validate", loads, "--against", loads)
    assert (ran.code, "loads.csv" in ran.err) == (2, True)


SHIPPED = sorted(name for name, path in shipped().items() if read_profile_file(path).loads is not None)


@pytest.mark.parametrize("name", SHIPPED or [pytest.param("none", marks=pytest.mark.skip(reason="none holds loads"))])
def test_shipped_profiles_can_be_held_against_the_loads_that_they_hold(name: str) -> None:
    """Whoever tries the command first tries it on these."""
    ran = command("validate", name, "--against", shipped()[name], "--requests", 1000, "--json", "--allow-extrapolation")
    only_llm = ran.code == 2 and "LLM" in ran.err
    assert only_llm or ran.json()["loads"]


def test_the_object_is_json(profile: Path, loads: Path) -> None:
    """Infinite and missing figures have no place in JSON."""
    result = validate(read_measured([loads]), Setting(profile=profile, server=SERVER, requests=500))
    assert json.loads(json.dumps(validation_object(result), allow_nan=False))["profile"] == "toy"

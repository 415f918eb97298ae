"""The command ``simulate``: what it prints where, how it ends, and that nothing is left half-done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import simulator.study
from simulator.log import COMPLETED, OUTCOMES
from tests.command_line import simulate

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from simulator.cli import main; main()"]

CONTRACT = """\
schema: 1
name: closed-loop-check
seed: 7
horizon: 60s                 # simulated time over which requests arrive
warmup: 10s                  # left out of latency statistics; still billed
profiles:
  toy:
    batch:      [1, 8, 16]             # items in the batch, increasing
    latency_ms: [10, 24, 40]           # mean time the accelerator needs for that batch; between points: interpolated
    latency_cv: 0.02                   # optional: noise, lognormal around that mean
    overheads:                         # optional; each a number, or a list as long as batch
      frontend_ms: 0                   # serial per-request work before the queue: one request at a time
      enqueue_ms: 0.2                  # request sent -> queued (in parallel)
      dispatch_ms: 0.2                 # batch released -> execution starts (the model instance is taken)
      release_ms: 0.2                  # execution ends -> the model instance is free
      reply_ms: 0.4                    # execution ends -> the client has the answer (in parallel)
fleets:
  gpu:
    profile: toy
    instance_type: g6.xlarge           # looked up in the price catalogue, or
    usd_per_hour: 0.80                 # a price of the user's own, which wins
    instances: 4
    model_instances: 1                 # executions at once on one accelerator (Triton: instance_group.count)
    slowdown: [1, 2]                   # optional: k executions at once each take slowdown[k-1] times as long
    batching: {policy: dynamic, rule: triton, max_batch_size: 16, max_queue_delay: 5ms, preferred_batch_sizes: [8, 16]}
    router: least_outstanding          # round_robin | least_outstanding | power_of_two | random | ...
    purchase: on_demand
workloads:
  search:
    fleet: gpu
    arrivals: {process: poisson, rate: 900}          # requests per second
    items_per_request: 1
    slo: {p99: 100ms}
"""
"""The example that other programs are written against: it must run as it stands."""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contract's scenario, in a file."""
    path = tmp_path_factory.mktemp("contract") / "contract.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


LATENCY_KEYS = {"mean", "p50", "p90", "p95", "p99", "p999", "max"}


def test_json_has_every_key_that_other_programs_read(contract: Path) -> None:
    """A missing key breaks whoever reads it, and they are not in this repository."""
    ran = simulate(contract, "--json")
    assert (0, "") == (ran.code, ran.err.replace("compiling the engine, once (about 20 s) ...\n", ""))
    report = ran.json()
    head = ("schema_version", "scenario", "seed", "engine", "replications", "horizon_s", "warmup_s")
    assert {*head, "workloads", "fleets", "cost", "timing_s"} <= set(report)
    assert (1, "closed-loop-check", 7, "compiled", 1, 60.0, 10.0) == tuple(report[key] for key in head)
    search = report["workloads"]["search"]
    assert {"offered_rps", "throughput_rps", "goodput_rps", "items_per_s", "slo", "outcomes"} <= set(search)
    assert LATENCY_KEYS <= set(search["latency_ms"])
    assert LATENCY_KEYS <= set(search["queue_ms"])
    assert LATENCY_KEYS <= set(search["service_ms"])
    assert {"p99_ms": 100.0} == search["slo"]["targets"]
    assert search["slo"]["met"] is True
    assert {"arrived", "completed", "rejected", "timed_out", "in_flight"} == set(search["outcomes"])
    gpu = report["fleets"]["gpu"]
    assert {"instance_type", "instances_mean", "utilisation", "batch_size_mean", "batch_size_histogram", "cost_usd",
            "cost_usd_per_hour"} <= set(gpu)  # fmt: skip
    assert 3.2 == pytest.approx(gpu["cost_usd_per_hour"])
    assert {"usd_per_hour", "usd_per_month", "usd_per_1k_requests"} == set(report["cost"])
    assert 730 * 3.2 == pytest.approx(report["cost"]["usd_per_month"])
    assert {"compile", "draw", "run", "measure"} == set(report["timing_s"])


def test_both_engines_print_the_same_numbers(contract: Path) -> None:
    short = ("--set", "horizon=12s", "--json")
    compiled, reference = (
        simulate(contract, *short, "--engine", engine).json() for engine in ("compiled", "reference")
    )
    assert ("compiled", "reference") == (compiled.pop("engine"), reference.pop("engine"))
    for report in (compiled, reference):
        del report["timing_s"], report["assumptions"]["engine"]
    assert reference == compiled


def test_run_is_what_a_file_alone_means(contract: Path) -> None:
    short = ("--set", "horizon=11s")
    explicit, implied, option_first = (
        simulate(*words)
        for words in (("run", contract, *short), (contract, *short), ("--set", "horizon=11s", contract))
    )
    assert explicit.out == implied.out == option_first.out
    assert explicit.out.startswith("closed-loop-check: the SLO is met\n")


def test_a_misspelt_command_is_not_taken_for_a_file() -> None:
    ran = simulate("shcema")
    assert 2 == ran.code
    assert "No such command 'shcema'. Did you mean 'schema'?" in ran.err


def test_seed_and_set_change_the_scenario(contract: Path) -> None:
    short = ("--set", "horizon=11s", "--json")
    one, other, fewer = (
        simulate(contract, *short, *more).json()
        for more in ((), ("--seed", 8), ("--set", "fleets.gpu.instances=3", "--set", "name=three"))
    )
    assert (7, 8) == (one["seed"], other["seed"])
    assert one["workloads"] != other["workloads"]
    assert (3.0, "three") == (fewer["fleets"]["gpu"]["instances_mean"], fewer["scenario"])


def test_check_tells_a_pipeline_by_its_exit_code(contract: Path) -> None:
    short = ("--set", "horizon=11s", "--check")
    assert 0 == simulate(contract, *short).code
    missed = simulate(contract, *short, "--set", "workloads.search.slo.p99=20ms")
    assert 4 == missed.code
    assert "the SLO is MISSED" in missed.out
    assert 0 == simulate(contract, "--set", "horizon=11s", "--set", "workloads.search.slo.p99=20ms").code


def test_check_without_an_slo_checks_nothing_and_says_so(tmp_path: Path) -> None:
    """A pipeline that is green because nothing was asked is worse than none."""
    path = tmp_path / "no-slo.yaml"
    path.write_text(CONTRACT.replace("    slo: {p99: 100ms}\n", ""), encoding="utf-8")
    ran = simulate(path, "--check")
    assert (2, "") == (ran.code, ran.out)
    assert "<command line>: --check: needs an SLO" in ran.err


def test_check_fails_when_the_slo_cannot_be_judged(contract: Path) -> None:
    ran = simulate(contract, "--check", "--set", "workloads.search.arrivals.rate=0.001", "--set", "horizon=11s")
    assert 4 == ran.code


def test_all_errors_come_together_with_their_lines_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        CONTRACT.replace("instances: 4\n", "instances: 0\n", 1)
        .replace("rate: 900", "rte: 900")
        .replace("horizon: 60s ", "horizon: 60 "),
        encoding="utf-8",
    )
    ran = simulate(path)
    assert (2, "") == (ran.code, ran.out)
    places = [int(line.removeprefix(f"{path}:").split(":")[0]) for line in ran.err.splitlines()]
    assert [4, 22, 31] == sorted(set(places)), ran.err
    assert "Did you mean" in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_price_stops_the_run_by_name(contract: Path) -> None:
    ran = simulate(contract, "--set", "fleets.gpu.usd_per_hour=null", "--set", "fleets.gpu.instance_type=g6.xlage")
    assert (2, "") == (ran.code, ran.out)
    assert "fleets.gpu.instance_type" in ran.err
    assert "g6.xlarge" in ran.err


def test_problems_of_traces_and_of_prices_come_together(tmp_path: Path) -> None:
    """One error a run makes a user start five times."""
    (tmp_path / "trace.csv").write_text("arrival_s\n2\n1\n", encoding="utf-8")
    path = tmp_path / "bad.yaml"
    text = CONTRACT.replace("    usd_per_hour: 0.80", "    region: nowhere-1")
    path.write_text(
        text.replace("{process: poisson, rate: 900}", "{process: trace, file: trace.csv}"), encoding="utf-8"
    )
    ran = simulate(path)
    assert 2 == ran.code
    assert "trace.csv:3" in ran.err
    assert "fleets.gpu.region" in ran.err


def test_percentiles_of_the_report_are_those_of_the_written_requests(contract: Path, tmp_path: Path) -> None:
    """If the table and the report disagree, nobody can check the report."""
    ran = simulate(contract, "--output", tmp_path / "out", "--json")
    report = ran.json()
    names = ["batches.parquet", "report.json", "report.txt", "requests.parquet"]
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert report == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (
        (tmp_path / "out" / "report.txt").read_text(encoding="utf-8").startswith("closed-loop-check: the SLO is met\n")
    )
    requests, batches = (pq.read_table(tmp_path / "out" / f"{name}.parquet") for name in ("requests", "batches"))
    completed = np.array(requests["outcome"].to_pylist()) == OUTCOMES[COMPLETED]
    arrival_ns, left_ns = (requests[name].to_numpy() for name in ("arrival_ns", "left_ns"))
    search = report["workloads"]["search"]
    assert search["outcomes"]["arrived"] == len(requests)
    assert search["outcomes"]["completed"] == completed.sum()
    window = completed & (arrival_ns >= 10_000_000_000)
    p99_ms = np.quantile((left_ns - arrival_ns)[window], 0.99) / 1e6
    assert search["latency_ms"]["p99"] == pytest.approx(p99_ms, rel=1e-12)
    assert len(requests) == batches["requests"].to_numpy().sum()


def test_quiet_says_nothing_on_stderr(contract: Path, tmp_path: Path) -> None:
    loud, quiet = (
        simulate(contract, "--set", "horizon=11s", "--output", tmp_path, *words) for words in ((), ("--quiet",))
    )
    assert f"wrote {tmp_path}\n" == loud.err
    assert "" == quiet.err
    assert loud.out == quiet.out


def test_an_unusable_output_folder_is_told_before_the_run(contract: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = simulate(contract, "--output", tmp_path / "file")
    assert (2, "") == (ran.code, ran.out)
    assert "<command line>: --output: cannot be made or written to" in ran.err


def test_a_bug_is_one_line_and_asks_to_be_reported(contract: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a cog came off")

    monkeypatch.setattr(simulator.study, "simulate", broken)
    ran = simulate(contract)
    assert (1, "") == (ran.code, ran.out)
    assert "a bug of ours: RuntimeError: a cog came off\nPlease report it" in ran.err
    monkeypatch.setenv("HEADROOM_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a cog came off"):
        simulate(contract)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_file(contract: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Half a table that looks whole is worse than none."""
    long = ["--set", "horizon=2h", "--set", "workloads.search.arrivals.rate=1000", "--engine", "reference"]
    out = tmp_path / "out"
    with subprocess.Popen(
        [*COMMAND, str(contract), *long, "--output", str(out)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        # The folder is made just before the engine starts; let it start.
        time.sleep(1.0)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert 128 + number == process.returncode, err
    assert "Traceback" not in err
    assert [] == list(tmp_path.iterdir())


def test_a_reader_that_goes_away_is_no_error() -> None:
    """``simulate schema | head -1`` would end in a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [*COMMAND, "schema"], cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (128 + signal.SIGPIPE, "") == (done.returncode, done.stderr)


def test_schema_is_json_and_documents_the_keys() -> None:
    document = json.loads(simulate("schema").out)
    assert {"schema", "name", "fleets", "workloads"} <= set(document["required"])
    assert "horizon" in document["properties"]


def test_prices_lists_date_and_source() -> None:
    ran = simulate("prices", "--instance-type", "g4dn.xlarge")
    assert 0 == ran.code
    row = next(line for line in ran.out.splitlines() if line.startswith("g4dn.xlarge"))
    assert ["1", "x", "T4", "0.526", "on_demand", "aws", "us-east-1", "2026-01-19", "[1]"] == row.split()[1:]
    assert "\n[1] aws/karpenter" in ran.out


def test_an_unknown_instance_type_is_answered_with_near_ones() -> None:
    ran = simulate("prices", "--instance-type", "g4dn.xlage")
    assert (2, "") == (ran.code, ran.out)
    assert "Did you mean g4dn.xlarge" in ran.err


def test_imported_prices_are_billed(contract: Path, tmp_path: Path) -> None:
    """The point of importing prices: a scenario that names the list is billed by it."""
    (tmp_path / "mine.csv").write_text("machine,cost\ng6.xlarge,0.5\n", encoding="utf-8")
    columns = ("--column", "instance_type=machine", "--column", "usd_per_hour=cost")
    said = ("--provider", "aws", "--as-of", "2026-11-01")
    ran = simulate("import-prices", "csv", tmp_path / "mine.csv", "-o", tmp_path / "prices.csv", *columns, *said)
    assert (0, "") == (ran.code, ran.out), ran.err
    assert f"wrote {tmp_path / 'prices.csv'}" in ran.err
    changes = ("--set", "fleets.gpu.usd_per_hour=null", "--set", f"prices={tmp_path / 'prices.csv'}")
    report = simulate(contract, "--json", "--set", "horizon=11s", *changes).json()
    assert 2.0 == pytest.approx(report["cost"]["usd_per_hour"])
    assert "mine.csv" in report["fleets"]["gpu"]["price_note"]


def test_version_names_the_program() -> None:
    assert simulate("version").out.startswith("headroom-sim")
    assert simulate("version").out == simulate("--version").out

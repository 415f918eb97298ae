"""Where the time goes: PyTorch's events added up by operator, each kernel once, on a CPU and on a device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibration import ops
from calibration.backends.protocol import OutOfMemoryError, UnavailableError, Variant
from calibration.ops import OUTSIDE, UNLINKED, BatchOps, OpsReport, OpTime, operator_times, profile_ops, timed_ms
from calibration.ops_page import ops_lines
from calibration.roofline import Ceilings, verdict
from calibration.traffic import Work
from tests.calibration.fake_session import Clock, FakeSession, Witness

VARIANT = Variant(model="bert-base")
CEILINGS = Ceilings(flops_per_s=100e9, bytes_per_s=20e9, product="2048 x 2048, fp32")


def event(name: str, calls: int, cpu_us: float, device_us: float = 0.0, *, on: str = "CPU", span: bool = False) -> Any:
    """A line of ``key_averages()`` as PyTorch 2.13 gives it."""
    return SimpleNamespace(
        key=name,
        count=calls,
        self_cpu_time_total=cpu_us,
        self_device_time_total=device_us,
        device_type=SimpleNamespace(name=on),
        is_user_annotation=span,
    )


# --- adding up --------------------------------------------------------------------------------------------------------


def test_on_a_cpu_the_share_is_of_the_time_on_the_host() -> None:
    found = operator_times(
        [event("execution", 2, 400, span=True), event("aten::addmm", 4, 3000), event("aten::gelu", 2, 600)],
        2,
        on_device=False,
    )
    assert [("aten::addmm", 2.0, 1.5, 0.75), ("aten::gelu", 1.0, 0.3, 0.15), (OUTSIDE, 1.0, 0.2, 0.1)] == [
        (one.name, one.calls, one.cpu_ms, pytest.approx(one.share)) for one in found
    ]
    assert {None} == {one.device_ms for one in found}


CUDA_EVENTS = [
    event("execution", 1, 50, 0.0, span=True),
    event("execution", 1, 0, 1000, on="CUDA", span=True),  # the same span on the device: no work of its own
    event("aten::addmm", 2, 100, 800),
    event("ampere_sgemm_128x64_tn", 2, 0, 800, on="CUDA"),
    event("aten::gelu", 1, 40, 100),
    event("gelu_kernel", 1, 0, 100, on="CUDA"),
    event("cudaLaunchKernel", 3, 30),
    event("Memcpy HtoD", 1, 0, 100, on="CUDA"),
]
"""Operators carry the time of their kernels, and the kernels stand beside them once more."""


def test_on_a_device_the_share_is_of_its_time_and_every_kernel_counts_once() -> None:
    found = {one.name: one for one in operator_times(CUDA_EVENTS, 1, on_device=True)}
    assert {"aten::addmm": 0.8, "aten::gelu": 0.1, UNLINKED: 0.1} == {
        name: pytest.approx(one.share) for name, one in found.items() if one.share
    }
    assert 1.0 == pytest.approx(sum(one.device_ms or 0.0 for one in found.values())), "800 + 100 + 100 us"
    assert (0.03, 0.0) == (found["cudaLaunchKernel"].cpu_ms, found["cudaLaunchKernel"].device_ms)
    assert "gelu_kernel" not in found


def test_shares_add_up_to_one_and_the_longest_comes_first() -> None:
    for on_device in (True, False):
        found = operator_times(CUDA_EVENTS, 3, on_device=on_device)
        assert 1.0 == pytest.approx(sum(one.share for one in found))
        assert sorted((one.share for one in found), reverse=True) == [one.share for one in found]


def test_an_execution_is_timed_at_its_best_after_one_that_does_not_count() -> None:
    clock = Clock()
    times = iter([900.0, 40.0, 30.0, *[50.0] * 100])
    session = FakeSession(clock, times=lambda *_: next(times))
    execution: Any = session.prepare(1)
    assert 30.0 == pytest.approx(timed_ms(execution, clock))
    assert 3 < session.runs[1] < 20, "half a second, not all of them"


# --- the report -------------------------------------------------------------------------------------------------------


def batch_ops(batch: int, measured_ms: float, *, busy: float | None = None, operators: int = 3) -> BatchOps:
    """One batch size: so many equal operators, of which the page names 15."""
    on_device = busy is not None
    share = 1 / operators
    each = [
        OpTime(name=f"aten::op{number}", calls=1, cpu_ms=0.5, device_ms=0.25 if on_device else None, share=share)
        for number in range(operators)
    ]
    work = Work(flops=1e9 * batch, weight_bytes=4e8, activation_bytes=1e7 * batch, boundary_bytes=1e4)
    return BatchOps(
        batch=batch,
        measured_ms=measured_ms,
        executions=5,
        operators=tuple(each[: ops.MOST_OPERATORS]),
        rest=ops._together(each[ops.MOST_OPERATORS :]) if operators > ops.MOST_OPERATORS else None,
        device_busy=busy,
        work=work,
        verdict=verdict(work, measured_ms, CEILINGS),
    )


def report(*batches: BatchOps, **changes: Any) -> OpsReport:
    """A report of these batch sizes."""
    variant = {"model": "bert-base", "precision": "fp32", "runtime": "torch"}
    told: dict[str, Any] = {"variant": variant, "device": "T4", "fused": False, "ceilings": CEILINGS, **changes}
    return OpsReport(batches=batches, **told)


def test_the_page_gives_a_verdict_for_each_batch_and_explains_those_that_occur() -> None:
    text = "\n".join(ops_lines(report(batch_ops(1, 25.0), batch_ops(8, 100.0), batch_ops(64, 800.0))))
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.rstrip().endswith("-bound")}
    # 410 MB at 20 GB/s are 20.5 of 25 ms; 8 GFLOP at 100 GFLOP/s are 80 of 100 ms; 64 are 640 of 800.
    assert ["1", "25.0", "1.00", "410", "2.44", "40.0", "82%", "memory-bound"] == rows["1"]
    assert ["8", "100", "8.00", "480", "16.7", "80.0", "80%", "compute-bound"] == rows["8"]
    assert "100 GFLOP/s (matrix product of 2048 x 2048, fp32), 20.0 GB/s" in " ".join(text.split())
    assert "5.00 FLOP a byte" in " ".join(text.split())
    assert "overhead-bound" not in text
    assert "lower bound" in text


def test_the_page_shows_the_operators_of_the_smallest_and_the_largest_batch() -> None:
    text = "\n".join(ops_lines(report(batch_ops(1, 25.0, operators=20), batch_ops(2, 26.0), batch_ops(4, 30.0))))
    heads = [line.split(":")[0] for line in text.splitlines() if "where the time goes" in line]
    assert ["Batch 1", "Batch 4"] == heads
    (rest,) = [line.split() for line in text.splitlines() if "others" in line]
    assert ["5", "others", "5", "2.50", "25%"] == rest


def test_on_a_device_the_page_tells_how_busy_it_was() -> None:
    lines = ops_lines(report(batch_ops(1, 25.0, busy=0.31)))
    assert any("device busy" in line for line in lines)
    assert any("device ms" in line for line in lines)
    (row,) = [line for line in lines if line.endswith("memory-bound")]
    assert "31%" in row.split()
    cpu = ops_lines(report(batch_ops(1, 25.0)))
    assert not any("device busy" in line or "device ms" in line for line in cpu)


def test_the_page_can_be_written_without_unicode() -> None:
    "\n".join(ops_lines(report(batch_ops(1, 25.0), batch_ops(8, 400.0)), unicode=False)).encode("ascii")


# --- with a real framework --------------------------------------------------------------------------------------------

SMALL = {"layers": 2, "hidden": 64, "heads": 2, "ffn": 128, "vocab": 100, "positions": 16, "sequence_length": 8}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A small BERT in PyTorch; ceilings are not measured anew for each test."""
    pytest.importorskip("torch")
    from calibration.backends import open_session

    monkeypatch.setattr(ops, "measure_ceilings", lambda *_, **__: CEILINGS)
    monkeypatch.setattr(ops, "_TIMED_S", 0.02)
    opened = open_session(Variant(model="bert-base", sizes=SMALL))
    yield opened
    opened.close()


def test_a_network_is_profiled_by_operator_with_a_verdict_and_a_trace(session: Any, tmp_path: Path) -> None:
    trace, witness = tmp_path / "out.trace.json", Witness()
    found = profile_ops(session, [1, 4], VARIANT, trace=trace, watch=witness)
    assert [1, 4] == [one.batch for one in found.batches]
    assert ["profiling the operators at batch 1", "profiling the operators at batch 4"] == witness.stages
    for one in found.batches:
        told = {op.name: op for op in one.operators}
        assert 14 == told["aten::addmm"].calls, "query, key, value, mix, up, down of 2 layers; pooler and classifier"
        assert None is told["aten::addmm"].device_ms
        total = sum(op.share for op in one.operators) + (one.rest.share if one.rest else 0.0)
        assert 1.0 == pytest.approx(total)
        assert len(one.operators) <= ops.MOST_OPERATORS
    assert 4 * found.batches[0].work.flops == found.batches[1].work.flops
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert {"batch 1", "batch 4", "aten::addmm"} <= {one.get("name") for one in events}
    assert ops_lines(found)


def test_the_report_is_one_json_object(session: Any) -> None:
    told = json.loads(json.dumps(profile_ops(session, [1], VARIANT).as_object(), allow_nan=False))
    assert 1 == told["schema_version"]
    assert 5.0 == told["ceilings"]["ridge"]
    (batch,) = told["batches"]
    assert {"limit", "intensity", "roof_ms", "share"} == batch["verdict"].keys()
    assert {"flops", "weight_bytes", "activation_bytes"} <= batch["work"].keys()
    assert "bert-base" == told["variant"]["model"]


def test_the_profilers_own_messages_do_not_reach_the_user(session: Any, capfd: pytest.CaptureFixture[str]) -> None:
    profile_ops(session, [1], VARIANT)
    assert ("", "") == capfd.readouterr()


def test_where_memory_ends_the_report_ends_with_a_word(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = session.prepare

    def short(batch: int) -> Any:
        if batch > 2:
            raise OutOfMemoryError(f"cpu has not enough memory for a batch of {batch}")
        return prepare(batch)

    monkeypatch.setattr(session, "prepare", short)
    found = profile_ops(session, [1, 2, 4, 8], VARIANT)
    assert [1, 2] == [one.batch for one in found.batches]
    assert ("batch 4 and larger were not profiled: cpu has not enough memory for a batch of 4",) == found.warnings
    with pytest.raises(OutOfMemoryError):
        profile_ops(session, [4], VARIANT)


def test_a_runtime_without_pytorch_says_so() -> None:
    with pytest.raises(UnavailableError, match=r"onnxruntime runs without PyTorch.*--runtime torch"):
        profile_ops(FakeSession(Clock()), [1], Variant(model="bert-base", runtime="onnxruntime"))


def test_a_device_on_which_nothing_was_seen_is_a_warning(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_batch_ops", lambda *_: batch_ops(1, 25.0, busy=0.0))
    (warning,) = profile_ops(session, [1], VARIANT).warnings
    assert "CUPTI" in warning


@pytest.mark.gpu
def test_on_a_gpu_operators_have_the_time_of_their_kernels() -> None:
    pytest.importorskip("torch")
    from calibration.backends import open_session

    variant = Variant(model="bert-base", device="cuda", precision="fp16")
    found = profile_ops(open_session(variant), [1, 64], variant)
    for one in found.batches:
        assert one.device_busy is not None
        assert 0.05 < one.device_busy < 1.2
        told = {op.name: op for op in one.operators}
        assert (told["aten::addmm"].device_ms or 0.0) > 0
    assert found.batches[1].verdict.share > found.batches[0].verdict.share

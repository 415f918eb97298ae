"""What a model computes and moves is counted as by hand, and a verdict follows from it and the device's ceilings."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.roofline import OVERHEAD_BELOW, Ceilings, measure_ceilings, verdict
from calibration.traffic import Work, count_work

CEILINGS = Ceilings(flops_per_s=100e9, bytes_per_s=20e9, product="2048 x 2048, fp32")


def work(flops: float, moved: float) -> Work:
    """So many operations, so many bytes."""
    return Work(flops=flops, weight_bytes=moved / 2, activation_bytes=moved / 2, boundary_bytes=moved / 10)


# --- the verdict ------------------------------------------------------------------------------------------------------


def test_below_the_ridge_memory_is_the_limit_and_above_it_arithmetic() -> None:
    """At 100 GFLOP/s and 20 GB/s the ridge is at 5 operations a byte."""
    assert 5.0 == CEILINGS.ridge
    assert "memory-bound" == verdict(work(4.9e9, 1e9), 60.0, CEILINGS).limit
    assert "compute-bound" == verdict(work(5.1e9, 1e9), 60.0, CEILINGS).limit


def test_far_below_both_ceilings_it_is_neither() -> None:
    """1e9 bytes take 50 ms at least: in 249 ms the memory still sets the time, in 251 ms something else does."""
    assert "memory-bound" == verdict(work(1e9, 1e9), 249.0, CEILINGS).limit
    assert "overhead-bound" == verdict(work(1e9, 1e9), 251.0, CEILINGS).limit
    assert pytest.approx(OVERHEAD_BELOW) == verdict(work(1e9, 1e9), 250.0, CEILINGS).share


def test_of_what_a_compiler_fused_only_weights_inputs_and_outputs_are_certain() -> None:
    """5 operations a byte by operators, 8.3 by the whole."""
    one = work(5e9, 1e9)
    assert (5.0, pytest.approx(5e9 / 0.6e9)) == (
        verdict(one, 60.0, CEILINGS).intensity,
        verdict(one, 60.0, CEILINGS, fused=True).intensity,
    )


@given(st.floats(1e3, 1e12), st.floats(1e3, 1e12), st.floats(1e-3, 1e4))
def test_the_roof_is_the_longer_of_the_two_times(flops: float, moved: float, measured_ms: float) -> None:
    found = verdict(work(flops, moved), measured_ms, CEILINGS)
    assert max(flops / 100e6, moved / 20e6) == pytest.approx(found.roof_ms)
    assert found.roof_ms / measured_ms == pytest.approx(found.share)


def test_an_execution_that_computes_nothing_is_never_compute_bound() -> None:
    assert "memory-bound" == verdict(work(0.0, 1e9), 60.0, CEILINGS).limit


# --- what is counted --------------------------------------------------------------------------------------------------


@pytest.fixture
def torch() -> Any:
    """PyTorch, where it is installed."""
    return pytest.importorskip("torch")


def test_a_linear_layer_reads_its_weights_and_rows_and_writes_its_answers(torch: Any) -> None:
    """8 x 512 by 512 x 256 and a bias: 2 x 8 x 512 x 256 operations, 4 bytes a number."""
    found = count_work(torch.nn.Linear(512, 256), [torch.randn(8, 512)])
    assert 2 * 8 * 512 * 256 == found.flops
    assert 4 * (512 * 256 + 256) == found.weight_bytes
    assert 4 * (8 * 512 + 8 * 256) == found.activation_bytes == found.boundary_bytes


def test_what_one_operator_hands_to_the_next_is_written_and_read(torch: Any) -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU())
    found = count_work(layers, [torch.randn(8, 64)])
    assert 4 * (8 * 64 + 3 * 8 * 32) == found.activation_bytes, "written by the first, read and written by the second"
    assert 4 * (8 * 64 + 8 * 32) == found.boundary_bytes


def test_views_move_nothing_and_an_expanded_axis_is_one(torch: Any) -> None:
    rows = torch.randn(4, 1)
    assert 0 == count_work(lambda x: x.t().reshape(4).unsqueeze(0), [rows]).activation_bytes
    expanded = count_work(lambda x: x.expand(4, 100) + 1, [rows])
    assert 4 * 4 + 4 * 400 == expanded.activation_bytes


def test_a_look_up_reads_the_rows_it_returns_and_not_the_table(torch: Any) -> None:
    found = count_work(torch.nn.Embedding(30_000, 16), [torch.zeros(2, 8, dtype=torch.int64)])
    assert 4 * 16 * 16 == found.weight_bytes, "16 rows of 16 numbers"
    assert 8 * 16 + 4 * 16 * 16 == found.activation_bytes


def test_writing_into_a_cache_writes_the_new_part_only(torch: Any) -> None:
    """A KV cache of 1,000 tokens takes up one: 64 numbers are read, 64 written."""

    def step(cache: Any, token: Any) -> Any:
        cache[:, 500:501] = token
        return cache

    found = count_work(step, [torch.zeros(1, 1000, 64), torch.randn(1, 1, 64)])
    assert 4 * (64 + 64) == found.activation_bytes
    by_index = count_work(lambda cache, token: cache.index_copy_(1, torch.tensor([500]), token),
                          [torch.zeros(1, 1000, 64), torch.randn(1, 1, 64)])  # fmt: skip
    assert 4 * (64 + 64) == pytest.approx(by_index.activation_bytes + by_index.weight_bytes, abs=32), "and an index"
    assert 4 * (1000 * 64 + 64) == found.boundary_bytes, "what is given back was not written anew"


def test_a_convolution_is_counted_by_its_positions(torch: Any) -> None:
    """30 x 30 positions, 16 x 3 x 3 x 3 weights, 2 images: He et al. (2016) count multiply-adds, half of this."""
    found = count_work(torch.nn.Conv2d(3, 16, 3, bias=False), [torch.randn(2, 3, 32, 32)])
    assert 2 * 2 * 30 * 30 * 16 * 27 == found.flops
    assert 1.0 == found.convolution_share


@pytest.mark.parametrize("key_heads", [8, 4])
def test_attention_is_counted_on_a_cpu_too(torch: Any, key_heads: int) -> None:
    """Scores and values: two products of 16 x 16 x 32 for each of 8 heads of 2 sequences, whoever shares keys."""
    query, key, value = (torch.randn(2, heads, 16, 32) for heads in (8, key_heads, key_heads))
    attention = torch.nn.functional.scaled_dot_product_attention
    found = count_work(lambda *three: attention(*three, enable_gqa=key_heads != 8), [query, key, value])
    assert 2 * 2 * 2 * 8 * 16 * 16 * 32 == found.flops


def test_a_quantised_layer_computes_the_same_and_reads_a_byte_a_weight(torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantise = torch.ao.quantization.quantize_dynamic
        layer = quantise(torch.nn.Sequential(torch.nn.Linear(512, 256)), dtype=torch.qint8)
        found = count_work(layer, [torch.randn(8, 512)])
    assert (2 * 8 * 512 * 256, 512 * 256) == (found.flops, found.weight_bytes)


def test_a_traced_and_a_compiled_network_count_as_the_original(torch: Any) -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU()).eval()
    rows = torch.randn(8, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(torch.jit.trace(layers, rows))
        expected = count_work(layers, [rows])
        assert expected.flops == count_work(traced, [rows]).flops
        assert expected.weight_bytes == count_work(traced, [rows]).weight_bytes, "frozen weights are weights"
    assert expected == count_work(SimpleNamespace(_orig_mod=layers), [rows])  # type: ignore[arg-type]


@pytest.mark.usefixtures("torch")
def test_bert_base_and_resnet_50_need_the_operations_of_their_publications() -> None:
    """ResNet-50 takes 4.1e9 multiply-adds at 224 x 224 (torchvision's model card: 4.09 GFLOPS), two operations each.

    BERT-base: 12 layers x (4 x 768^2 + 2 x 768 x 3072) weights, each used once a token, and attention.
    """
    from calibration.backends import open_session
    from calibration.backends.protocol import Variant

    counted = {}
    for model in ("resnet50", "bert-base"):
        execution: Any = open_session(Variant(model=model)).prepare(1)
        counted[model] = count_work(execution.module, execution.inputs).flops
    assert 4.09e9 * 2 == pytest.approx(counted["resnet50"], rel=0.002)
    linear = 2 * 128 * 12 * (4 * 768**2 + 2 * 768 * 3072)
    attention = 12 * 2 * 2 * 128 * 128 * 768
    head = 2 * (768**2 + 2 * 768)
    assert linear + attention + head == counted["bert-base"]


# --- the ceilings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_ceilings_are_measured_where_the_model_runs(
    torch: Any, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.roofline._LARGEST_PRODUCT", 512)
    monkeypatch.setattr("calibration.roofline._MOVED_BYTES", {"cpu": 1 << 22})
    found = measure_ceilings(torch.device("cpu"), precision)
    assert 1e8 < found.flops_per_s < 1e14
    assert 1e8 < found.bytes_per_s < 1e13
    assert found.product.endswith(f", {precision}")


def test_tf32_is_allowed_for_the_ceiling_and_then_forbidden_again(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.roofline._LARGEST_PRODUCT", 256)
    monkeypatch.setattr("calibration.roofline._MOVED_BYTES", {"cpu": 1 << 20})
    before = torch.get_float32_matmul_precision()
    seen = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda *two: (seen.append(torch.get_float32_matmul_precision()), product(*two))[1])
    assert "256 x 256, tf32" == measure_ceilings(torch.device("cpu"), "fp32", tf32=True).product
    assert {"high"} == set(seen)
    assert before == torch.get_float32_matmul_precision()


@pytest.mark.gpu
def test_ceilings_of_a_gpu_are_beyond_those_of_a_cpu(torch: Any) -> None:
    gpu = measure_ceilings(torch.device("cuda"), "fp16")
    assert gpu.flops_per_s > 1e13
    assert gpu.bytes_per_s > 1e11

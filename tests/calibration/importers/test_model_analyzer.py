"""model_analyzer: configurations of one model are one measurement; several models are never mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibration.importers import ImportOptions, import_files
from calibration.observation import Observations
from calibration.problems import InputError

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples" / "in"
HEADER = (
    "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Satisfies Constraints,"
    "Throughput (infer/sec),p99 Latency (ms)"
)
GPU_HEADER = (
    "Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,Satisfies Constraints,"
    "Max GPU Memory Usage (MB),Average GPU Utilization (%),Average GPU Power Usage (W)"
)


def sample(name: str) -> Path:
    path = SAMPLES / f"model_analyzer_metrics-model-{name}.csv"
    if not path.exists():
        pytest.skip(f"../shared/samples/in/{path.name} is absent")
    return path


def written(tmp_path: Path, *lines: str, name: str = "metrics-model-inference.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    return path


def imported(*files: Path, **options: Any) -> Observations:
    return import_files("model-analyzer", files, ImportOptions(**options))


def refusal(*files: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        imported(*files, **options)
    return str(error.value)


def test_megabytes_and_per_cent_of_the_gpu_table_join_their_row() -> None:
    for order in (("inference", "gpu"), ("gpu", "inference")):
        found = imported(*map(sample, order), device="A100")
        default, busy = found.rows
        assert (1, None, None) == (default.model_instances, default.max_batch_size, default.utilisation)
        assert (2, 8, 2291.0, 38.7) == (
            busy.model_instances,
            busy.max_batch_size,
            busy.throughput_rps,
            busy.latency_ms["p99"],
        )
        assert (3.12e9, 0.885, 241.0) == (busy.memory_bytes, busy.utilisation, busy.power_w)
        assert {"model": "resnet50", "device": "A100", "server": "Triton", "tool": "model_analyzer"} == found.provenance
        assert any("1 of 2 rows have no match" in warning for warning in found.warnings)


def test_a_closed_loop_without_a_mean_has_the_one_of_littles_law() -> None:
    found = imported(sample("inference"))
    assert pytest.approx(1000 * 16 / 812.4) == found.rows[0].latency_ms["mean"]
    assert any("by Little's law" in warning for warning in found.warnings)


def test_throughput_counts_requests_of_the_batch(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, "m,4,2,m_config_0,1:GPU,8,Yes,400.0,25.0")
    (row,) = imported(path).rows
    assert (4.0, 100.0, 20.0) == (row.batch, row.throughput_rps, row.latency_ms["mean"])


def test_all_metrics_are_found_by_their_headers(tmp_path: Path) -> None:
    """Order and choice of the columns are the user's own."""
    header = (
        "p99 Latency (ms),Avg Latency (ms),p90 Latency (ms),Throughput (infer/sec),Server Queue time (ms),"
        "Server Compute Input time (ms),Server Compute Infer time (ms),Server Compute Output time (ms),"
        "Client Send/Recv (ms),Max RAM Usage (MB),backend_parameter/threads,Colour,Concurrency,Batch,Model"
    )
    found = imported(written(tmp_path, header, "12.0,10.0,11.0,200.0,0.5,0.1,8.0,0.2,0.05,512,4,red,2,1,m"))
    (row,) = found.rows
    assert {"mean": 10.0, "p90": 11.0, "p99": 12.0} == row.latency_ms
    assert {"queue": 0.5, "input": 0.1, "compute": 8.0, "output": 0.2} == row.parts_ms
    assert {
        "Client Send/Recv (ms)": 0.05,
        "Max RAM Usage (MB)": 512,
        "backend_parameter/threads": 4,
        "Colour": "red",
    } == row.notes
    assert ("columns that are not known, kept as notes, not used: 'Colour'",) == found.warnings


def test_token_times_make_it_an_llm(tmp_path: Path) -> None:
    header = HEADER + (
        ",Avg Time To First Token (ms),p99 Time To First Token (ms),p99 Inter Token Latency (ms),"
        "Output Token Throughput (infer/sec)"
    )
    found = imported(written(tmp_path, header, "m,1,8,m_config_0,1:GPU,0,Yes,4.0,2500.0,80.0,240.0,19.0,512.0"))
    (row,) = found.rows
    assert ({"mean": 80.0, "p99": 240.0}, {"p99": 19.0}) == (row.ttft_ms, row.itl_ms)
    assert found.of_llm


def test_request_rates_are_open_loops(tmp_path: Path) -> None:
    """Rows of model_analyzer's own test, tests/common/request-rate-ckpt at a065f314."""
    path = written(
        tmp_path,
        HEADER.replace("Concurrency", "Request Rate"),
        "vgg19_libtorch,1,2048,vgg19_libtorch_config_1,1:GPU,2,Yes,280.8,14.5",
        "vgg19_libtorch,1,64,vgg19_libtorch_config_1,1:GPU,2,Yes,60.6,15.4",
    )
    found = imported(path)
    assert [(64.0, None), (2048.0, None)] == [(row.rate_rps, row.concurrency) for row in found.rows]
    assert any("neither a mean nor a median" in warning for warning in found.warnings)
    assert any(
        "fewer requests were answered than sent at" in warning and "2048" in warning for warning in found.warnings
    )


def test_older_headers_are_read(tmp_path: Path) -> None:
    inference = written(
        tmp_path,
        HEADER.replace("Max Batch Size", "Preferred Batch Sizes"),
        "m,1,1,m_config_0,2/GPU,[4 8],Yes,100.0,11.0",
    )
    gpu = written(
        tmp_path,
        GPU_HEADER.replace("Max GPU", "GPU").replace("Average GPU", "GPU"),
        "m,GPU-1,1,1,m_config_0,2/GPU,Yes,822.0,4.0,55.8",
        name="gpu.csv",
    )
    (row,) = imported(inference, gpu).rows
    assert (2, None, "[4 8]") == (row.model_instances, row.max_batch_size, row.notes["Preferred Batch Sizes"])
    assert (0.04, 822e6, 55.8) == (row.utilisation, row.memory_bytes, row.power_w)


def test_several_models_are_never_mixed(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        HEADER,
        "bert,1,1,bert_config_0,1:GPU,8,Yes,100.0,11.0",
        "resnet,1,1,resnet_config_0,1:GPU,8,Yes,200.0,6.0",
        "resnet,1,1,resnet_config_1,2:GPU,8,Yes,210.0,6.1",
    )
    assert "--model: must say which of the 2 models of" in refusal(path)
    assert "Choose one of bert, resnet." in refusal(path)
    assert "Did you mean 'resnet'?" in refusal(path, model="resnt")
    assert [200.0, 210.0] == [row.throughput_rps for row in imported(path, model="resnet").rows]
    config = imported(path, model="resnet_config_1")
    assert ([2], "resnet") == ([row.model_instances for row in config.rows], config.provenance["model"])


def test_a_single_model_may_be_given_another_name(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, "m,1,1,m_config_0,1:GPU,8,Yes,100.0,11.0")
    assert "ResNet-50" == imported(path, model="ResNet-50").provenance["model"]


def test_models_that_ran_together_are_refused(tmp_path: Path) -> None:
    """First row: model_analyzer's own test, tests/common/multi-model-ckpt at 1a9115b1; second: its ensemble-ckpt."""
    group = written(
        tmp_path,
        HEADER,
        '"resnet50_libtorch,vgg19_libtorch","1,1","2,1","resnet50_libtorch_config_3,vgg19_libtorch_config_2",'
        '"2/GPU,2/GPU","2,1",Yes,"294.0, [177.0,117.0]","12.3, [14.9,9.8]"',
    )
    assert ":2:1: Model: must be one value: this row is of several models that ran together" in refusal(group)
    ensemble = written(
        tmp_path,
        HEADER,
        'ensemble_python_resnet50,1,64,"ensemble_python_resnet50_config_28: preprocess_config_9, '
        'resnet50_trt_config_8","4:GPU,2:GPU","8,8",Yes,64.0,1104.4',
    )
    assert "Instance Group: must be one value" in refusal(ensemble)


def test_columns_that_were_not_asked_for_are_named(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "Model,p99 Latency (ms)", "m,5"))
    assert "must have the columns Batch, Concurrency or Request Rate, Throughput (infer/sec)" in message
    assert "inference_output_fields" in message


def test_all_bad_cells_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, "m,0,1,c,1:GPU,8,Yes,100.0,11.0", "m,1,1,c,two,8,Yes,fast,11.0")
    message = refusal(path)
    assert ["Batch: must be greater than 0, got 0", "must be such as 2:GPU, got two", "must be a number, got fast"] == [
        text
        for text in (
            "Batch: must be greater than 0, got 0",
            "must be such as 2:GPU, got two",
            "must be a number, got fast",
        )
        if text in message
    ]


def test_two_gpus_are_told(tmp_path: Path) -> None:
    inference = written(tmp_path, HEADER, "m,1,1,c,2:GPU,8,Yes,100.0,11.0")
    rows = [f"m,GPU-{n},1,1,c,2:GPU,Yes,{n}000.0,{n}0.0,{n}00.0" for n in (1, 2)]
    found = imported(inference, written(tmp_path, GPU_HEADER, *rows, name="gpu.csv"))
    (row,) = found.rows
    assert (pytest.approx(0.15), 2e9, 150.0) == (row.utilisation, row.memory_bytes, row.power_w)
    assert any(warning.startswith("2 GPUs:") for warning in found.warnings)


def test_the_gpu_table_alone_says_nothing_of_latency() -> None:
    assert "must be one metrics-model-inference.csv" in refusal(sample("gpu"))


def test_options_replace_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, "m,1,1,c,2:GPU,8,Yes,100.0,11.0")
    (row,) = imported(path, model_instances=4, max_batch_size=16).rows
    assert (4, 16) == (row.model_instances, row.max_batch_size)

"""What somebody uploads is data: it opens no file but its own, and its mistakes are told as by the command line."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tempfile
from pathlib import Path

import pytest

import optimizer
import simulator
from calibration.problems import InputError
from calibration.schema import Entry
from presentation.door import (
    _NAMING_FILES,
    LARGEST_UPLOAD_MIB,
    edited_yaml,
    given_shipped,
    given_text,
    given_upload,
    workspace,
)
from presentation.library import shipped
from simulator.scenario import load_scenario

ROOT = Path(__file__).resolve().parents[2]

SMALL = """\
schema: 1
name: small
horizon: 10s
profiles: {toy: {batch: [1, 8], latency_ms: [10, 24]}}
fleets:
  gpu: {profile: toy, usd_per_hour: 1.0, instances: 2, batching: {policy: dynamic, max_batch_size: 8}}
workloads:
  search: {fleet: gpu, arrivals: {process: poisson, rate: 100}, slo: {p99: 100ms}} # asked
"""


def told(text: str, overrides: tuple[str, ...] = ()) -> list[str]:
    """Problems of a pasted scenario, as they are shown."""
    with workspace(given_text(text)) as space, pytest.raises(InputError) as caught:
        space.scenario(overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_shipped_scenario_is_the_file_itself() -> None:
    with workspace(given_shipped(shipped()["peak"])) as space:
        assert load_scenario(ROOT / "scenarios" / "peak.yaml") == space.scenario()


def test_a_mistake_reads_as_the_command_line_words_it() -> None:
    expected = "pasted.yaml:6:53: fleets.gpu.instances: must be at least 1, got 0. Give a larger number: instances."
    assert [expected] == told(SMALL.replace("instances: 2", "instances: 0"))


def test_a_wrong_change_names_the_option() -> None:
    (problem,) = told(SMALL, ("fleets.gpu.instances=many",))
    assert problem.startswith("<command line>: fleets.gpu.instances: must be a whole number, got 'many' (from --set")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.csv", "a/../../secret.csv", "~root/x/../../../etc/passwd"])
@pytest.mark.parametrize(
    "place",
    ["profiles.toy", "workloads.search.arrivals.file", "prices"],
)
def test_no_path_leads_out_of_the_folder(path: str, place: str) -> None:
    """A path in an upload, or in a change, would hand out what is on the server's disk."""
    if place.endswith("file"):
        change: tuple[str, ...] = (f"workloads.search.arrivals={{process: rate_series, file: '{path}'}}",)
    else:
        change = (f"{place}={path}",)
    (problem,) = told(SMALL, change)
    assert f"{place}: must be a file beside the scenario, got '{path}'" in problem


def test_a_shipped_scenario_is_no_way_out_either() -> None:
    with workspace(given_shipped(shipped()["peak"])) as space, pytest.raises(InputError) as caught:
        space.scenario(("workloads.forecast.arrivals.file=../pyproject.toml",))
    assert "must be a file beside the scenario" in str(caught.value)


def test_an_upload_finds_the_files_that_came_with_it() -> None:
    text = SMALL.replace("{process: poisson, rate: 100}", "{process: trace, file: traces/mine.csv}")
    files = {"small.yaml": text.encode(), "mine.csv": b"arrival_s\n0.5\n1.5\n"}
    with workspace(given_upload(files)) as space:
        assert "trace" == space.scenario().workloads["search"].arrivals.process
        assert space.folder.is_relative_to(tempfile.gettempdir())
    assert not space.folder.exists()


def test_a_file_that_did_not_come_along_is_missed() -> None:
    text = SMALL.replace("{toy: {batch: [1, 8], latency_ms: [10, 24]}}", "{toy: mine.json}")
    (problem,) = told(text)
    assert "profiles.toy: names a file that does not exist, got 'mine.json'" in problem
    assert tempfile.gettempdir() not in problem


def test_a_name_with_folders_in_it_stays_in_the_folder() -> None:
    given = given_upload({"../../small.yaml": SMALL.encode(), "../../../x.csv": b"arrival_s\n1\n"})
    with workspace(given) as space:
        assert "small.yaml" == given.name
        assert {"small.yaml", "x.csv"} == {path.name for path in space.folder.iterdir()}


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({}, "must be one YAML file"),
        ({"a.yaml": b"", "b.yaml": b""}, "must be one YAML file"),
        ({"a.yaml": b"\xff\xfe\x00"}, "must be UTF-8 text"),
        ({"a.yaml": b"", "b.csv": b"\x1f\x8b" + b"x"}, "must not be compressed"),
        ({"a.yaml": b"x" * ((LARGEST_UPLOAD_MIB << 20) + 1)}, "must not be larger than 5 MiB"),
    ],
)
def test_an_upload_that_is_no_scenario_is_refused(files: dict[str, bytes], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        given_upload(files)


def test_nothing_in_an_upload_is_executed() -> None:
    """A YAML tag that builds objects would run whatever the uploader wants."""
    (problem,) = told("schema: 1\nname: !!python/object/apply:os.system ['true']\n" + SMALL.split("\n", 2)[2])[:1]
    assert problem.startswith("pasted.yaml:2:")


def test_the_edited_text_asks_what_the_changes_ask() -> None:
    changes = ("fleets.gpu.instances=5", "workloads.search.arrivals.rate=250")
    text = edited_yaml(given_text(SMALL), changes)
    assert "# asked" in text
    with workspace(given_text(text)) as edited, workspace(given_text(SMALL)) as original:
        assert original.scenario(changes) == edited.scenario()


def test_the_key_of_a_run_does_not_depend_on_its_folder() -> None:
    keys = []
    for _ in range(2):
        with workspace(given_text(SMALL)) as space:
            keys.append(space.key(space.scenario()))
    assert keys[0] == keys[1]


def test_every_key_that_names_a_file_is_watched() -> None:
    """A key that the door does not know as a path would be a way out of the folder."""
    names = [found.name for package in (simulator, optimizer)
             for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]  # fmt: skip
    models = {
        value
        for name in names
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, Entry)
    }
    paths = {
        field.alias or key
        for model in models
        for key, field in model.model_fields.items()
        if re.search(r"\bPath\b", str(field.annotation))
    }
    assert set(_NAMING_FILES) == paths

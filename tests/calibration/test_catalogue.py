"""A profile is named by a path or, where there is no such file, by the name of one that is shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration import catalogue
from calibration.fit import fit_profile
from calibration.profile_file import read_profile_file
from calibration.profile_writer import observations_in


@pytest.fixture
def one_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "toy.json").write_text("{}")
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    return folder


def test_a_name_means_the_shipped_profile(tmp_path: Path, one_shipped: Path) -> None:
    assert one_shipped / "toy.json" == catalogue.profile_path("toy", tmp_path)


@pytest.mark.usefixtures("one_shipped")
def test_a_file_of_ones_own_wins(tmp_path: Path) -> None:
    """Whoever keeps a file of that name beside the scenario means that file."""
    own = tmp_path / "toy"
    own.write_text("{}")
    assert own == catalogue.profile_path("toy", tmp_path)


@pytest.mark.usefixtures("one_shipped")
def test_what_is_neither_stays_as_it_was_written(tmp_path: Path) -> None:
    assert tmp_path / "typo" == catalogue.profile_path("typo", tmp_path)


SHIPPED = [pytest.param(path, id=name) for name, path in catalogue.shipped().items()]
REQUIRED = {"source", "date", "model", "device", "precision", "runtime"}


@pytest.mark.parametrize("path", SHIPPED)
def test_a_shipped_profile_says_where_its_figures_come_from(path: Path) -> None:
    """Somebody spends money on the strength of these figures."""
    told = read_profile_file(path).provenance
    assert set() == REQUIRED - set(told)
    assert {"url", "commit"} <= set(told) or "versions" in told, "published where, or measured with what?"


@pytest.mark.parametrize("path", SHIPPED)
def test_a_shipped_profile_is_what_the_fit_makes_of_what_was_measured(path: Path) -> None:
    """A fit that has changed since, or a figure that was mended by hand, would go unnoticed."""
    file = read_profile_file(path)
    again = fit_profile(observations_in(file), name=file.name)
    assert (file.llm is None, file.has_curve) == (again.llm is None, again.has_curve)
    if file.has_curve:
        shipped, fitted = file.service_model, again.service_model
        assert shipped is not None
        assert fitted is not None
        batches = np.array(shipped.batch)
        was = np.interp(batches, batches, shipped.latency_ms)
        assert was == pytest.approx(np.interp(batches, fitted.batch, fitted.latency_ms), rel=0.01)


def test_the_catalogue_spans_what_is_bought() -> None:
    devices = " ".join(str(read_profile_file(path).provenance["device"]) for path in catalogue.shipped().values())
    assert [] == [name for name in ("T4", "A10", "L4", "A100", "H100") if name not in devices]


def test_the_toy_of_the_examples_can_be_named_and_says_that_it_is_made_up() -> None:
    """An example that is copied must run, and must not be taken for a measurement."""
    assert "toy" not in catalogue.shipped()
    toy = read_profile_file(catalogue.known()["toy"])
    assert toy.service_model is not None
    assert ("its figures are made up, for examples",) == toy.service_model.warnings

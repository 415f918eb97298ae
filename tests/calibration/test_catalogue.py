"""A profile is named by a path or, where there is no such file, by the name of one that is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration import catalogue
from calibration.profile_file import read_profile


@pytest.fixture(autouse=True)
def one_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "toy.json").write_text("{}")
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    return folder


def test_a_name_means_the_shipped_profile(tmp_path: Path, one_shipped: Path) -> None:
    assert one_shipped / "toy.json" == catalogue.profile_path("toy", tmp_path)


def test_a_file_of_ones_own_wins(tmp_path: Path) -> None:
    """Whoever keeps a file of that name beside the scenario means that file."""
    own = tmp_path / "toy"
    own.write_text("{}")
    assert own == catalogue.profile_path("toy", tmp_path)


def test_what_is_neither_stays_as_it_was_written(tmp_path: Path) -> None:
    assert tmp_path / "typo" == catalogue.profile_path("typo", tmp_path)


def test_every_shipped_profile_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for path in catalogue.shipped().values():
        assert read_profile(path).provenance, f"{path.name} must say where its figures come from"

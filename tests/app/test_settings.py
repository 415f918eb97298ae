"""The server speaks to this machine, tells nobody of its use, and takes no large file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from presentation.door import LARGEST_UPLOAD_MIB

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))


def test_the_server_answers_this_machine_alone() -> None:
    assert "127.0.0.1" == SETTINGS["server"]["address"]


def test_nobody_is_told_of_its_use() -> None:
    assert SETTINGS["browser"]["gatherUsageStats"] is False


def test_an_upload_is_limited_where_it_arrives_and_where_it_is_read() -> None:
    assert LARGEST_UPLOAD_MIB == SETTINGS["server"]["maxUploadSize"]

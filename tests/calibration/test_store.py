"""The store of an unfinished sweep: what was measured is there again, whatever stopped the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.problems import InputError
from calibration.store import in_memory, opened, partial_path, read_kept

IDENTITY = {"model": "bert-base", "device": "cpu", "settings": {"repeats": 5}}


def begun(path: Path) -> None:
    with opened(path, IDENTITY) as store:
        store.keep("round", batch=1, samples_ms=[1.5, 2.5])
        store.keep("round", batch=2, samples_ms=[3.0])
        store.keep("failed", batch=4, words="does not fit")


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    begun(path)
    with opened(path, IDENTITY) as store:
        assert [1, 2] == [record["batch"] for record in store.kept("round")]
        assert [1.5, 2.5] == store.kept("round")[0]["samples_ms"]
        assert ["does not fit"] == [record["words"] for record in store.kept("failed")]
        store.keep("round", batch=8, samples_ms=[9.0])
    with opened(path, IDENTITY) as store:
        assert [1, 2, 8] == [record["batch"] for record in store.kept("round")]


def test_a_line_that_was_cut_off_costs_itself_and_nothing_else(tmp_path: Path) -> None:
    """A power cut in the middle of a write must not make the rest unreadable, nor glue the next line to it."""
    path = tmp_path / "a.partial.jsonl"
    begun(path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        complete = sum(1 for end in range(1, 5) if len(b"".join(lines[:end])) <= length)
        with opened(path, IDENTITY) as store:
            found = store.kept("round") + store.kept("failed")
            assert max(complete - 1, 0) == len(found), length
            store.keep("round", batch=16, samples_ms=[20.0])
        with opened(path, IDENTITY) as store:
            assert 16 == store.kept("round")[-1]["batch"]


def test_another_sweep_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    begun(path)
    with (
        pytest.raises(InputError, match=r"device: was begun with \"cpu\", got now \"cuda\"\. .*--fresh") as error,
        opened(path, {**IDENTITY, "device": "cuda", "threads": 4}),
    ):
        pass
    assert ["device", "threads"] == [problem.path for problem in error.value.problems]
    assert read_kept(path) is not None, "what was measured is still there"


def test_fresh_forgets(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    begun(path)
    with opened(path, {**IDENTITY, "device": "cuda"}, fresh=True) as store:
        assert [] == store.kept("round")


def test_one_sweep_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.partial.jsonl"
    with (
        opened(path, IDENTITY) as store,
        pytest.raises(InputError, match="another sweep"),
    ):
        store.keep("round", batch=1)
        with opened(path, IDENTITY):
            pass
    kept = read_kept(path)
    assert kept is not None
    assert 1 == len(kept.kept("round"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json\n", ":1: is no line of an unfinished sweep"),
        ('{"a": 1}\n', ":1: is no line of an unfinished sweep"),
        ('{"kind": "round"}\n', "is not an unfinished sweep"),
        ('{"kind": "sweep", "version": 99, "identity": {}}\n{"kind": "round"}\n', "another version"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.partial.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=words), opened(path, IDENTITY):
        pass
    with pytest.raises(InputError, match=words):
        read_kept(path)
    assert text == path.read_text(), "and left as it is"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"), opened(tmp_path / "absent" / "a.jsonl", IDENTITY):
        pass


def test_nothing_kept_is_none(tmp_path: Path) -> None:
    assert None is read_kept(tmp_path / "absent")
    (tmp_path / "empty").write_bytes(b"")
    assert None is read_kept(tmp_path / "empty")


def test_the_partial_file_lies_beside_its_profile() -> None:
    assert Path("a/b.json.partial.jsonl") == partial_path("a/b.json")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: key not in {"kind", "self"}), plain, max_size=4))
def test_memory_and_file_give_the_same(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    """A row built from what was just measured and one built after a resume must be equal."""
    path = tmp_path_factory.mktemp("store") / "a.jsonl"
    memory = in_memory()
    memory.keep("round", **values)
    with opened(path, IDENTITY) as store:
        store.keep("round", **values)
    with opened(path, IDENTITY) as store:
        assert memory.kept("round") == store.kept("round")

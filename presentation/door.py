"""A scenario that somebody gives the app is opened here: by the doors of the command line, in a folder of its own.

What is uploaded is read as text, never executed, and written only into a temporary folder that is gone with the
``with``. A scenario opens no file outside its folder: neither by an absolute path, nor by ``..``, nor through a value
that was changed afterwards. Shipped profiles are found by their names.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from calibration.catalogue import known
from calibration.problems import InputError, Problem
from calibration.source import Source, read_source
from presentation.library import Shipped
from simulator.overrides import with_overrides
from simulator.scenario import Scenario, load_scenario

LARGEST_UPLOAD_MIB: Final = 5
"""Of one file: as the server's own limit, in .streamlit/config.toml."""

_NAMING_FILES: Final = ("file", "means", "prices", "week_shape")
"""Keys whose text is the path of a file, wherever they stand."""

_GZIP: Final = b"\x1f\x8b"

_MOST_DEPTH: Final = 12

Opened = TypeVar("Opened")


@dataclass(frozen=True)
class Given:
    """A scenario before it is opened."""

    name: str
    """Name of its file."""
    text: str
    """The YAML."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Contents of the profiles and traces that came with it, by file name without folders."""
    home: Path | None = None
    """The folder it lies in; None for one that was uploaded or pasted."""


def given_shipped(shipped: Shipped) -> Given:
    """A shipped scenario as it is."""
    return Given(shipped.path.name, shipped.path.read_text(encoding="utf-8"), {}, shipped.path.parent)


def given_upload(files: Mapping[str, bytes]) -> Given:
    """A scenario that was uploaded, with the files that it names.

    Raises
    ------
    InputError
        There is not exactly one YAML file among them, one is too large, or it is no text.
    """
    scenarios = [name for name in files if name.lower().endswith((".yaml", ".yml"))]
    if len(scenarios) != 1:
        rule = "must be one YAML file, with the files that it names"
        found = ", ".join(files) or "nothing"
        raise InputError([Problem("upload", None, None, "", rule, found, "Choose one at a time.")])
    check_uploads(files)
    name = scenarios[0]
    try:
        text = files[name].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError([Problem(name, None, None, "", "must be UTF-8 text", None, "Save it as UTF-8.")]) from None
    beside = {PurePosixPath(other).name: content for other, content in files.items() if other != name}
    return Given(safe_name(name), text, beside)


def check_uploads(files: Mapping[str, bytes]) -> None:
    """Are these files small enough to be read?

    Raises
    ------
    InputError
        One is too large, or packed: a small archive may hold more than the memory does.
    """
    problems = [_too_large(name) for name, content in files.items() if len(content) > LARGEST_UPLOAD_MIB << 20]
    remedy = "Unpack it first."
    problems += [
        Problem(name, None, None, "", "must not be compressed", None, remedy)
        for name, content in files.items()
        if content.startswith(_GZIP)
    ]
    if problems:
        raise InputError(problems)


def given_text(text: str) -> Given:
    """A scenario that was pasted."""
    return Given("pasted.yaml", text)


@dataclass(frozen=True)
class Workspace:
    """A scenario in its folder, as long as the ``with`` of :func:`workspace` lasts."""

    given: Given
    folder: Path

    def scenario(self, overrides: Sequence[str] = ()) -> Scenario:
        """The scenario with some values changed, as by ``--set``.

        Raises
        ------
        InputError
            With everything that is wrong with it; places name the file without its folder.
        """
        return self.opened_by(load_scenario, overrides)

    def opened_by(self, load: Callable[[Path, Sequence[str]], Opened], overrides: Sequence[str] = ()) -> Opened:
        """What the door of another kind of file gives, after the same look at the files that it names.

        Raises
        ------
        InputError
            With everything that is wrong with it; places name the file without its folder.
        """
        path = self.folder / self.given.name
        try:
            source, _ = with_overrides(read_source(path), overrides)
            outside = [problem for problem in self._outside(source) if problem is not None]
            if outside:
                raise InputError(outside)
            return load(path, overrides)
        except InputError as error:
            raise InputError(self._told(problem) for problem in error.problems) from None

    def values(self, overrides: Sequence[str] = ()) -> dict[str, Any]:
        """What the scenario says, with some values changed, as plain values."""
        return with_overrides(read_source(self.folder / self.given.name), overrides)[0].content

    def key(self, scenario: Scenario) -> str:
        """Everything that a run of it depends on, as one text, wherever the folder is."""
        return scenario.canonical_json().replace(f"{self.folder}/", "")

    def _outside(self, source: Source) -> Iterator[Problem | None]:
        home = self.folder.resolve()
        for path, written in _files_named(source.content):
            if path.startswith("profiles.") and written in known():
                continue
            try:
                inside = (self.folder / written).resolve().is_relative_to(home)
            except (OSError, ValueError, RuntimeError):
                inside = False
            if not inside:
                remedy = "Upload it together with the scenario, and write its name alone."
                yield source.problem(path, "must be a file beside the scenario", f"'{written}'", remedy)

    def _told(self, problem: Problem) -> Problem:
        """The same problem, without the folder on the server."""
        plain = {key: getattr(problem, key) for key in ("file", "rule", "value", "remedy")}
        told = {key: text and text.replace(f"{self.folder}/", "") for key, text in plain.items()}
        return replace(problem, **told)


@contextmanager
def workspace(given: Given) -> Iterator[Workspace]:
    """Lay a scenario out in its folder: its own, or a temporary one that is removed at the end."""
    if given.home is not None:
        yield Workspace(given, given.home)
        return
    with tempfile.TemporaryDirectory(prefix="headroom-") as name:
        folder = Path(name)
        (folder / given.name).write_text(given.text, encoding="utf-8")
        for path in _places(folder, given):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(given.files[path.name])
        yield Workspace(given, folder)


def edited_yaml(given: Given, overrides: Sequence[str]) -> str:
    r"""The scenario's text with the changed values in it; comments stay.

    >>> print(edited_yaml(given_text("schema: 1 # first\nhorizon: 60s\n"), ["horizon=30s"]), end="")
    schema: 1 # first
    horizon: 30s
    """
    if not overrides:
        return given.text
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 120
    source, problems = with_overrides(Source(given.name, yaml.load(given.text)), overrides)
    if problems:
        raise InputError(problems)
    out = StringIO()
    yaml.dump(source.content, out)
    return out.getvalue()


def _places(folder: Path, given: Given) -> list[Path]:
    """Where the files that came along belong: where the scenario names them inside its folder, else beside it."""
    places = {folder / name for name in map(safe_name, given.files) if name in given.files and name != given.name}
    try:
        named = list(_files_named(read_source(folder / given.name).content))
    except InputError:
        return sorted(places)
    for _, written in named:
        path = PurePosixPath(written)
        if path.name in given.files and not path.is_absolute() and ".." not in path.parts:
            places.add(folder / path)
    return sorted(places)


def _files_named(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every text that is the path of a file, with the dotted path where it stands."""
    if len(path) > _MOST_DEPTH:
        return
    if isinstance(value, dict):
        for key, inside in value.items():
            names_file = key in _NAMING_FILES or path == ("profiles",)
            if isinstance(inside, str) and names_file:
                yield ".".join((*path, str(key))), inside
            else:
                yield from _files_named(inside, (*path, str(key)))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from _files_named(inside, (*path, str(index)))


def safe_name(name: str) -> str:
    """A file name without folders and without anything that a file system may take amiss.

    >>> safe_name("../../etc/pass wd.yaml")
    'pass_wd.yaml'
    """
    plain = re.sub(r"[^\w.-]", "_", PurePosixPath(name.replace("\\", "/")).name).lstrip(".")
    return plain[-100:] or "scenario.yaml"


def _too_large(name: str) -> Problem:
    remedy = "Run it with the command line, which has no such limit."
    return Problem(name, None, None, "", f"must not be larger than {LARGEST_UPLOAD_MIB} MiB", None, remedy)

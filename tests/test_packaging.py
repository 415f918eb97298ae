"""What an installed copy holds, and that it is the same copy next year."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
NAME = canonicalize_name(PROJECT["name"])
DISTRIBUTION_OF = {
    "llvmlite": "numba",
    "pydantic_core": "pydantic",
    "pynvml": "nvidia-ml-py",
    "ruamel": "ruamel-yaml",
    "zoneinfo": "tzdata",
}
"""What to require for a package that comes under another name, only ever with another, or needs another's files."""

FOR_DEVELOPERS = {"test", "bench", "dev"}
"""Extras that serve the repository, not an installed copy."""


def pins() -> dict[str, Requirement]:
    """The lines of constraints.txt that hold for this interpreter, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in requirements if r.marker is None or r.marker.evaluate()}


def direct_requirements() -> list[Requirement]:
    """Everything that pyproject names, extras included, without the project itself."""
    named = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    return [requirement for requirement in map(Requirement, named) if canonicalize_name(requirement.name) != NAME]


def installed_closure() -> set[str]:
    """Canonical names of every installed distribution that this project's requirements lead to."""
    waiting, reached = [(requirement.name, requirement.extras) for requirement in direct_requirements()], set()
    while waiting:
        name, extras = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if canonicalize_name(name) in reached:
            continue
        reached.add(canonicalize_name(name))
        for requirement in map(Requirement, distribution.requires or []):
            wanted = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in wanted):
                waiting.append((requirement.name, requirement.extras))
    return reached


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == built.returncode, built.stdout + built.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_the_packages_with_their_figures(wheel: zipfile.ZipFile) -> None:
    """An installed copy without its price list or its measured profiles cannot answer anything."""
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", "*.json", "*.csv", "py.typed")
        for path in (ROOT / package).rglob(pattern)
    }
    assert set() == wanted - set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Tests, scenarios or caches in a wheel land in everybody's site-packages."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    record = f"{NAME.replace('-', '_')}-{PROJECT['version']}.dist-info"
    assert {*PACKAGES, record} == tops
    assert [] == [name for name in wheel.namelist() if "__pycache__" in name]


def test_the_wheel_holds_the_app_with_its_settings_and_its_scenarios(wheel: zipfile.ZipFile) -> None:
    """Without its settings the server would listen to everybody; without scenarios it opens on nothing."""
    scenarios = {f"presentation/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.yaml")}
    assert {"views/app.py", "views/.streamlit/config.toml", "views/icon.svg", *scenarios} <= set(wheel.namelist())


def test_the_commands_are_installed(wheel: zipfile.ZipFile) -> None:
    """``simulate`` and ``calibrate`` are how every example starts."""
    entry_points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    installed = wheel.read(entry_points).decode().splitlines()
    wanted = {"calibrate = calibration.cli:main", "headroom = views.cli:main", "simulate = simulator.cli:main"}
    assert wanted <= set(installed)


def test_what_the_packages_import_is_what_they_require() -> None:
    """An import that is not required fails on a fresh machine; a requirement that is not imported is dead weight."""
    named: set[str] = set()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                named |= {
                    name.value.split(".")[0] for name in node.args if isinstance(name, ast.Constant) and name.value
                }
    foreign = (named - sys.stdlib_module_names - set(PACKAGES)) | (named & set(DISTRIBUTION_OF))
    features = {
        extra: lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in FOR_DEVELOPERS
    }
    required = [*PROJECT["dependencies"], *(line for lines in features.values() for line in lines)]
    assert {canonicalize_name(Requirement(line).name) for line in required} - {NAME} == {
        canonicalize_name(DISTRIBUTION_OF.get(name, name)) for name in foreign
    }


def test_every_requirement_is_pinned_inside_its_range() -> None:
    """A requirement without a pin makes two installs of one commit differ."""
    pinned = pins()
    for requirement in direct_requirements():
        pin = pinned.get(canonicalize_name(requirement.name))
        assert pin is not None, f"constraints.txt has no line for {requirement.name}"
        (version,) = pin.specifier
        assert "==" == version.operator
        assert requirement.specifier.contains(version.version), f"{pin} is outside {requirement}"


def test_what_the_requirements_bring_along_is_pinned_too() -> None:
    """An unpinned passenger makes two installs of one commit differ as well."""
    assert set() == installed_closure() - set(pins())

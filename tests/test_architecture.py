"""The shape of the code, held by the suite: sizes, directions, docstrings, and what may not be in a file."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from simulator import kernels

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
COMMANDS: dict[str, str] = PYPROJECT["project"]["scripts"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = sorted(
    name
    for package in PACKAGES
    for name in (package, *(found.name for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}.")))
)
POLICIES = sorted((ROOT / "simulator" / "policies").glob("*.py"))

MOST_LINES = 400
"""Beyond this a file holds two ideas."""

HEAVY = {
    *("numpy", "numba", "scipy", "pandas", "pyarrow", "simpy", "joblib", "distributed", "matplotlib", "pydantic"),
    *("torch", "onnx", "onnxruntime", "jax", "aiohttp", "pynvml", "statsmodels"),
}
"""Packages that take longer to import than a person waits for ``--help``."""

POLICY_MAY_IMPORT = {
    "__future__",
    "collections.abc",
    "enum",
    "math",
    "typing",
    "numba",
    "numba.extending",
    "numpy",
    "numpy.typing",
}
POLICY_MAY_IMPORT_FROM = ("simulator.policies", "simulator.state", "simulator.clock")


def relative(path: Path) -> str:
    """Path from the root of the repository, with forward slashes: what a failure should name."""
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    """Parse one source file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def committed_texts() -> list[Path]:
    """Every text file that git tracks, but for this file, which names what it forbids."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: which files are committed cannot be told")
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    binary = {".gz", ".parquet", ".png"}
    return [path for path in paths if path.is_file() and path.suffix not in binary and path != Path(__file__).resolve()]


def lines_matching(pattern: str, paths: list[Path]) -> list[str]:
    """``file:line: text`` of every line that the pattern finds."""
    expression = re.compile(pattern)
    return [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if expression.search(line)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_holds_one_idea(path: Path) -> None:
    """A longer file is two ideas: split it where they part."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{relative(path)} has {lines} lines"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_says_what_it_holds(name: str) -> None:
    """A module that does not import, or does not say what lives in it, reaches the user as a surprise."""
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"


def public_definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Names without a leading underscore that a module or a class defines, methods as ``Class.method``."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_public_name_says_what_it_is_for(path: Path) -> None:
    """A public function or class without a docstring answers a question nobody can read."""
    silent = [name for name, node in public_definitions(tree(path).body) if not ast.get_docstring(node)]
    assert [] == silent, relative(path)


def test_every_key_of_the_yaml_is_documented() -> None:
    """The docstring under a field is its text in the JSON Schema: without one, ``simulate schema`` is silent there."""
    models = {
        value
        for name in MODULES
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__.split(".")[0] in PACKAGES
    }
    silent = [
        f"{model.__module__}.{model.__name__}.{key}"
        for model in models
        for key, field in model.model_fields.items()
        if not field.description
    ]
    assert [] == sorted(silent)


def test_nothing_is_left_for_later() -> None:
    """A note to oneself in the code is work that was sold as done."""
    unfinished = r"\b(TODO|FIXME|XXX|HACK|NotImplemented(Error)?)\b"
    assert [] == lines_matching(unfinished, committed_texts())


def test_no_file_names_a_machine() -> None:
    """A path of somebody's machine works on that machine alone."""
    paths = [
        path for path in committed_texts() if path.suffix in {".py", ".toml", ".yaml", ".yml", ".md", ".json", ".sh"}
    ]
    assert [] == lines_matching(r"(?<![\w.}$])/(work|tmp|root|home|Users)/", paths)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_the_product_reads_no_file_outside_itself(path: Path) -> None:
    """The measured files beside the repository are for tests; an installed copy has none of them."""
    assert [] == lines_matching(r"\.\./shared|shared/data", [path])


@pytest.mark.parametrize("path", POLICIES, ids=relative)
def test_a_policy_is_a_pure_function(path: Path) -> None:
    """A policy with state of its own, a clock or a draw would let the two engines part."""
    for node in ast.walk(tree(path)):
        where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= POLICY_MAY_IMPORT, where
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            assert module in POLICY_MAY_IMPORT or module.startswith(POLICY_MAY_IMPORT_FROM), f"{where}: {module}"
        elif isinstance(node, ast.Attribute):
            assert not (isinstance(node.value, ast.Name) and node.value.id == "np" and node.attr == "random"), where
        else:
            assert not isinstance(node, ast.Global | ast.Nonlocal | ast.Yield | ast.Await | ast.With), where


def imports_of(name: str) -> set[str]:
    """Modules of the simulator that a module imports by name, itself not included."""
    path = ROOT / (name.replace(".", "/") + ".py")
    path = path if path.is_file() else ROOT / name.replace(".", "/") / "__init__.py"
    named: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in named if module in MODULES and module.startswith("simulator.")} - {name}


def test_the_cache_of_the_compiled_engine_follows_every_file_compiled_in() -> None:
    """A file whose change is not noticed leaves yesterday's decisions in the user's cache."""
    reached, waiting = set(), {"simulator.compiled"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= imports_of(name) - reached
    files = {relative(ROOT / (name.replace(".", "/") + ".py")) for name in reached - {"simulator.policies"}}
    assert set() == files - {f"simulator/{name}" for name in kernels._COMPILED_IN}


def test_the_lists_of_packages_agree() -> None:
    """A package on one list and not on another is installed unchecked, or checked and never installed."""
    tools = PYPROJECT["tool"]
    not_installed = {"tests", "benchmarks"}
    on_disk = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - not_installed)
    assert on_disk == sorted(PACKAGES)
    assert on_disk == sorted(tools["mypy"]["packages"])
    assert on_disk == sorted(tools["importlinter"]["root_packages"])
    assert on_disk == sorted(set(tools["pytest"]["ini_options"]["testpaths"]) - {"tests"})


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_imports_nothing_heavy(command: str) -> None:
    """``--help`` that loads NumPy or Numba takes seconds to say a few lines."""
    program = (
        "import sys\n"
        f"from {COMMANDS[command].split(':')[0]} import main\n"
        f"sys.argv = [{command!r}, '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"print('loaded:', *sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert "loaded:" == done.stdout.splitlines()[-1].strip()

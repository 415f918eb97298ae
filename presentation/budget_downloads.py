"""The files of a budget or a study, as the command line writes them with ``--output``, to be taken away."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optimizer.budget.budget import Budget


def written(write: Callable[[Path], Any]) -> dict[str, bytes]:
    """Every file that a function writes into a folder, by name."""
    with tempfile.TemporaryDirectory(prefix="headroom-") as name:
        write(Path(name))
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def budget_files(budget: Budget) -> dict[str, bytes]:
    """Every file of ``optimize FILE --output DIR``."""
    from optimizer.budget.write import write_budget

    return written(lambda folder: write_budget(budget, folder))


def packed(files: Mapping[str, bytes]) -> bytes:
    """The same as one archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()

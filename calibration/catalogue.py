"""The profiles that come with the package, by name: what was really measured, with its provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "profiles"
"""One JSON file a profile; its name is the profile's."""


def shipped() -> dict[str, Path]:
    """Which profiles come with the package? Their files by name, in alphabetical order."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def known() -> dict[str, Path]:
    """Which profiles may be named without a file? Those that are shipped, and ``toy``, made up for examples."""
    return {path.stem: path for path in sorted((FOLDER / "examples").glob("*.json"))} | shipped()


def profile_path(written: str, folder: Path) -> Path:
    """Which file does a profile's name or path mean?

    Parameters
    ----------
    written
        As the user wrote it: a path, absolute or from ``folder``, or the name of a shipped profile.
    folder
        Where a relative path starts.

    Returns
    -------
    Path
        A file of the user's own wins; the path as written when there is neither.
    """
    path = folder / written
    return path if path.exists() else known().get(written, path)

"""From what another tool measured to a profile: read, joined with the batches that a server formed, fitted."""

from __future__ import annotations

from dataclasses import replace

from calibration.fit import fit_profile
from calibration.formed_batches import formed_batches
from calibration.observation import Observations
from calibration.observation_table import columns_of
from calibration.problems import InputError
from calibration.profile_file import ProfileFile


def profile_of(found: Observations, *, name: str = "", seed: int = 0) -> tuple[ProfileFile, Observations]:
    """Which profile do imported measurements give? Where they are too few for a fit, one that keeps them as they are.

    Returns
    -------
    tuple
        The profile, and the measurements with what was found out about them in their warnings.

    Raises
    ------
    InputError
        They are of a device and cannot be fitted: without its batch curve nothing is worth keeping.
    """
    formed = formed_batches(found)
    try:
        return fit_profile([found] if formed is None else [found, formed], name=name, seed=seed), found
    except InputError as error:
        return _unfitted(found, name, error)


def _unfitted(found: Observations, name: str, error: InputError) -> tuple[ProfileFile, Observations]:
    """The measurements as they are: others may be joined to them later."""
    if found.scope != "server":
        raise error
    reasons = "; ".join(f"{problem.rule}" for problem in error.problems)
    words = f"kept, but not fitted: measurements {reasons}. Join more to them: calibrate fit A.json B.json -o C.json"
    content = {"schema": 1, "name": name, "provenance": dict(found.provenance), "loads": columns_of(found.rows)}
    file = ProfileFile.model_validate({**content, "notes": {**found.notes, "not_fitted": reasons}})
    return file, replace(found, warnings=(*found.warnings, words))

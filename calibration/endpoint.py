"""How fast does a served model answer? Measured through HTTP, as its clients see it.

The settings: :mod:`calibration.endpoint_settings`.
"""

from __future__ import annotations

from calibration.endpoint_settings import EndpointSettings, Load

__all__ = ["EndpointSettings", "Load"]

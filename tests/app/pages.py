"""The app without a browser: pages as Streamlit's AppTest runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT_S = 120
"""The first run of an installation compiles the engine."""


def opened(page: str | None = None) -> AppTest:
    """The app, at its first page or at another; nothing raised."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT_S).run()
    if page is not None:
        app.switch_page(f"views/{page}.py").run()
    assert not app.exception
    return app


def figures(app: AppTest) -> dict[str, str]:
    """What the cards say, by label."""
    return {metric.label: metric.value for metric in app.metric}


def deltas(app: AppTest) -> dict[str, str]:
    """How the cards differ from the scenario as it is, by label."""
    return {metric.label: metric.delta for metric in app.metric}


def asked(app: AppTest) -> str:
    """The command line that the page shows."""
    return next(str(code.value) for code in app.code if str(code.value).startswith("simulate "))


def moved(app: AppTest, kind: str, key: str, value: Any) -> AppTest:
    """The app after a control was moved; nothing raised."""
    getattr(app, kind)(key=key).set_value(value).run()
    assert not app.exception
    return app

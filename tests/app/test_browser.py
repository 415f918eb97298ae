"""The app in a real browser: the main journey, a quiet console, no host but its own, and its pictures.

Needs playwright and a Chromium (``apt-get install chromium``); where either is missing the tests are skipped with that
reason. ``HEADROOM_SCREENSHOTS=DIR`` keeps pictures of every page, light and dark, in DIR; with ``--run-slow`` also
those of a budget and of a frontier.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("streamlit", reason="the app is not installed: pip install 'headroom-sim[app]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

START_S = 90
ANSWER_MS = 60_000
PLAN_MS = 180_000
FRONTIER_MS = 900_000
BUDGET_MS = 240_000
"""A budget takes half a minute on a machine with nothing else to do."""

PROBES = re.compile(r"/(compare|optimise|budget|calibration)/_stcore/(health|host-config)$")
"""Streamlit looks for its server under the address of the page before it looks at the root: not found, and told so."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the app, as ``streamlit run app.py`` starts it; it keeps capacities for these tests alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    server = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("capacities"))},
    )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < until, f"no answer within {START_S} s"
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    with sync_api.sync_playwright() as playwright:
        # No sandbox: it cannot be set up by root, as CI runs.
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


class Watched:
    """A page, and what it did that it should not have."""

    def __init__(self, browser: Any, *, scheme: str = "light", width: int = 1440, height: int = 900) -> None:
        self.page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))

    def _said(self, message: Any) -> None:
        if message.type == "error" and not PROBES.search(message.location.get("url", "")):
            self.complaints.append(f"{message.text} {message.location}")

    def at(self, url: str) -> Any:
        """Go there, and wait for the answer."""
        self.page.goto(url)
        self.settled()
        return self.page

    def settled(self) -> None:
        """Wait until the page has nothing more to do."""
        self.page.wait_for_selector("[data-testid=stAppViewContainer] h4, [data-testid=stAppViewContainer] h3",
                                    timeout=ANSWER_MS)  # fmt: skip
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=ANSWER_MS)
        self.page.wait_for_function("() => !document.querySelector('[data-stale=true]')", timeout=ANSWER_MS)

    def is_quiet(self) -> None:
        """Nothing was complained of, and nobody else was asked for anything."""
        assert [] == self.complaints
        assert {"127.0.0.1"} == {host for host in self.hosts if host}


def p99(page: Any) -> Any:
    """The p99 on its card; cards may come in any order."""
    card = page.get_by_test_id("stMetric").filter(has=page.get_by_text("p99", exact=True))
    return card.get_by_test_id("stMetricValue")


def p99_ms(page: Any) -> float:
    """The same as a number."""
    return float(p99(page).inner_text().removesuffix(" ms").replace(",", ""))


def verdict(page: Any) -> str:
    """The sentence that the page begins with."""
    return str(page.locator("[data-testid=stAppViewContainer] h4").first.inner_text())


def taken(page: Any, label: str, path: Path) -> str:
    """A file of the menu of downloads, as the reader gets it."""
    page.get_by_test_id("stPopover").get_by_role("button").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name=label).click()
    download.value.save_as(path)
    page.keyboard.press("Escape")
    return path.read_text(encoding="utf-8")


def test_the_main_journey(browser: Any, address: str, tmp_path: Path) -> None:
    """Open, move the load, read the p99, take the scenario away; plan, take the plan away, reload from the URL."""
    watched = Watched(browser)
    page = watched.at(address)
    first = p99_ms(page)
    assert 40 < first < 60

    slider = page.get_by_role("slider", name="Load, % of the scenario's")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    page.wait_for_url(re.compile(r"load=110"), timeout=ANSWER_MS)
    sync_api.expect(p99(page)).not_to_have_text(f"{first:.1f} ms", timeout=ANSWER_MS)
    watched.settled()
    second = p99_ms(page)
    assert second > first
    assert "--set workloads.forecast.arrivals.scale=0.275" in page.locator("code").first.inner_text()

    saved = taken(page, "Scenario as changed", tmp_path / "peak.yaml")
    assert "scale: 0.275" in saved
    assert "# Does this fleet hold" in saved

    sent = Watched(browser)
    assert second == p99_ms(sent.at(page.url))
    sent.is_quiet()
    sent.page.close()

    page.get_by_role("link", name="Optimise").click()
    first_plan = page.get_by_text(re.compile(r"\$3,854 a month: ")).first
    first_plan.wait_for(timeout=ANSWER_MS)
    watched.settled()
    slider = page.get_by_role("slider", name="Load, % of the file's").first
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text("The question has changed.").wait_for(timeout=ANSWER_MS)
    page.wait_for_url(re.compile(r"load_short=105"), timeout=ANSWER_MS)
    page.get_by_role("button", name="Find the cheapest plan").click()
    page.get_by_text("optimize scenarios/plan_stated.yaml --set").wait_for(timeout=PLAN_MS)
    watched.settled()
    plan = json.loads(taken(page, "Plan (JSON)", tmp_path / "plan.json"))
    assert [31.5] == plan["demand_rps"]["short"]
    found = verdict(page)
    assert f"${plan['cost']['usd_per_month']:,.0f} a month" in found

    again = Watched(browser)
    assert found == verdict(again.at(page.url))
    again.is_quiet()
    again.page.close()
    watched.is_quiet()
    page.close()


def test_compare_and_calibration_follow_in_the_menu(browser: Any, address: str) -> None:
    watched = Watched(browser)
    page = watched.at(address)
    page.get_by_role("link", name="Compare").click()
    page.wait_for_selector("table", timeout=ANSWER_MS)
    watched.settled()
    assert "B: peak" in page.locator("table").first.inner_text()
    page.get_by_role("link", name="Calibration").click()
    page.wait_for_selector("text=Most items a second", timeout=ANSWER_MS)
    watched.settled()
    watched.is_quiet()
    page.close()


def test_a_wrong_link_is_told_and_the_page_stays_usable(browser: Any, address: str) -> None:
    watched = Watched(browser)
    page = watched.at(f"{address}/?set=fleets.gpu.instancs%3D3&load=abc")
    page.get_by_text("Did you mean 'instances'?").wait_for(timeout=ANSWER_MS)
    assert 40 < p99_ms(page) < 60
    watched.is_quiet()
    page.close()


def test_the_answer_needs_no_scrolling(browser: Any, address: str) -> None:
    """At 1440 x 900 the verdict, the figures and all four charts are on the first screen."""
    watched = Watched(browser)
    page = watched.at(address)
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 4", timeout=ANSWER_MS)
    ends = [box["y"] + box["height"] for box in (one.bounding_box() for one in page.locator(".js-plotly-plot").all())]
    assert max(ends) <= 900
    page.close()


def test_it_is_readable_on_a_narrow_screen(browser: Any, address: str) -> None:
    """At 1024 wide nothing sticks out to the right, and no figure is cut off."""
    watched = Watched(browser, width=1024, height=768)
    page = watched.at(f"{address}/?load=105")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    cut = "() => [...document.querySelectorAll('[data-testid=stMetricValue] > div')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"  # noqa: E501
    assert [] == page.evaluate(cut)
    page.close()


def test_every_chart_says_in_words_what_it_shows(browser: Any, address: str) -> None:
    watched = Watched(browser)
    page = watched.at(address)
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 4", timeout=ANSWER_MS)
    assert 1 <= page.get_by_label(re.compile("99% within")).count()
    assert 1 <= page.get_by_label(re.compile("The SLO holds up to")).count()
    page.close()


@pytest.mark.slow
def test_what_stricter_objectives_cost_is_drawn(browser: Any, address: str, tmp_path: Path) -> None:
    """The page without its frontier, below, is the short sibling."""
    folder = Path(os.environ.get("HEADROOM_SCREENSHOTS") or tmp_path)
    watched = Watched(browser)
    page = watched.at(f"{address}/optimise")
    page.get_by_role("button", name="Draw cost against p99").click(timeout=ANSWER_MS)
    page.get_by_role("button", name="Stop").wait_for(timeout=ANSWER_MS)
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 2", timeout=FRONTIER_MS)
    watched.settled()
    for scheme in ("light", "dark"):
        again = Watched(browser, scheme=scheme)
        shown = again.at(page.url)
        shown.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 2", timeout=ANSWER_MS)
        shown.wait_for_timeout(700)  # the charts fade in
        boxes = [one.bounding_box() for one in shown.locator(".js-plotly-plot").all()]
        assert max(box["y"] + box["height"] for box in boxes) <= 900
        shown.screenshot(path=folder / f"frontier-{scheme}.png")
        again.is_quiet()
        shown.close()
    watched.is_quiet()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("what_if", "/?load=110&instances=5"),
        ("compare", "/compare"),
        ("optimise", "/optimise"),
        ("budget_asked", "/budget"),
        ("calibration", "/calibration?profile_a=bert-base-torch-int8-cpu"),
        ("commitments", "/budget?way=Demand+alone"),
    ],
)
def test_every_page_is_quiet_in_light_and_in_dark(
    browser: Any, address: str, tmp_path: Path, name: str, path: str, scheme: str
) -> None:
    watched = Watched(browser, scheme=scheme)
    page = watched.at(f"{address}{path}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=ANSWER_MS)
    page.wait_for_timeout(700)  # the charts fade in
    folder = Path(os.environ.get("HEADROOM_SCREENSHOTS") or tmp_path)
    page.screenshot(path=folder / f"{name}-{scheme}.png")
    watched.is_quiet()
    page.close()


@pytest.mark.slow
def test_a_budget_is_worked_out_and_taken_away(browser: Any, address: str, tmp_path: Path) -> None:
    """What is known at once, the run, every part of the answer, light and dark, and the bill as a file.

    The short siblings are the page before its run, above, and the run of a small budget in test_budget.py.
    """
    folder = Path(os.environ.get("HEADROOM_SCREENSHOTS") or tmp_path)
    watched = Watched(browser)
    page = watched.at(f"{address}/budget?futures=20")
    page.get_by_label(re.compile("requests a second in the last year")).first.wait_for(timeout=ANSWER_MS)
    page.get_by_role("button", name="Work it out").click()
    page.get_by_role("button", name="Stop").first.wait_for(timeout=ANSWER_MS)
    page.get_by_label("Expected cost").or_(page.get_by_text("Expected cost")).first.wait_for(timeout=BUDGET_MS)
    page.get_by_label(re.compile("How the mean moves")).first.wait_for(timeout=BUDGET_MS)
    watched.settled()
    ends = [box["y"] + box["height"] for box in (one.bounding_box() for one in page.locator(".js-plotly-plot").all())
            if box is not None and box["height"]]  # fmt: skip
    assert max(ends) <= 900
    page.wait_for_timeout(700)  # the charts fade in
    page.screenshot(path=folder / "budget-light.png")
    for tab in ("Demand and fleet", "Purchases and risks", "Report"):
        page.get_by_role("tab", name=tab).click()
    page.get_by_test_id("stPopover").get_by_role("button").first.click()
    with page.expect_download() as taken:
        page.get_by_role("button", name="Bill by month").click()
    saved = tmp_path / "budget.csv"
    taken.value.save_as(saved)
    assert "EffectiveCost" in saved.read_text(encoding="utf-8").splitlines()[0]
    watched.is_quiet()
    page.close()
    for scheme, width, height in (("dark", 1440, 900), ("light", 1024, 768)):
        again = Watched(browser, scheme=scheme, width=width, height=height)
        page = again.at(f"{address}/budget?futures=20")
        page.get_by_label(re.compile("How the mean moves")).first.wait_for(timeout=BUDGET_MS)
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.wait_for_timeout(700)
        if scheme == "dark":
            page.screenshot(path=folder / "budget-dark.png")
        again.is_quiet()
        page.close()

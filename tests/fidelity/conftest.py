"""Print the table of errors under the test results, whatever the verbosity."""

from __future__ import annotations

import pytest

TABLE = pytest.StashKey[list[str]]()

collect_ignore = ["live"]
"""What runs in the servers imports the servers' own packages."""


@pytest.fixture
def error_table(request: pytest.FixtureRequest) -> list[str]:
    """Lines that appear under the test results."""
    return request.config.stash.setdefault(TABLE, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the errors of every replayed run."""
    lines = config.stash.get(TABLE, [])
    if lines:
        terminalreporter.section("simulator against real servers")
        for line in lines:
            terminalreporter.write_line(line)

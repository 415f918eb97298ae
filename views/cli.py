"""The command ``headroom``: the web app of an installed copy, for this machine alone unless told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from calibration.command_line import refuse, run_command

ENTRIES: Final = (Path(__file__).with_name("app.py"), Path(__file__).resolve().parents[1] / "app.py")
"""The app in an installed copy, and in a checkout; its settings lie beside it, in .streamlit."""

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def start(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where it listens.")] = 8501,
    address: Annotated[str, typer.Option(help="Who may reach it: 0.0.0.0 lets everybody.")] = "127.0.0.1",
) -> None:
    """Show what-ifs, comparisons, plans, budgets and profiles in the browser.

    Example: headroom --port 8600
    """
    try:
        from streamlit.web import cli
    except ImportError:
        refuse("headroom", "needs streamlit, which is not installed", None, "pip install 'headroom-sim[app]'.")
    entry = next(path for path in ENTRIES if path.is_file())
    cli.main(["run", str(entry), "--server.port", str(port), "--server.address", address], prog_name="streamlit")


def main() -> None:
    """Run the command line and exit."""
    run_command(app, "headroom", out_of_memory="Simulate fewer requests.")

"""The command line, called inside the test's own process: the engine is compiled once for all of them."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from simulator.cli import main


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its stdout as one JSON object."""
        return json.loads(self.out)


def simulate(*args: object) -> Ran:
    """Run ``simulate`` with these arguments."""
    return _run("simulate", main, args)


def optimize(*args: object) -> Ran:
    """Run ``optimize`` with these arguments."""
    from optimizer.cli import main

    return _run("optimize", main, args)


def _run(name: str, command: Callable[[], None], args: tuple[object, ...]) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    before, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = [name, *map(str, args)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())

"""The command line, called inside the test's own process: the engine is compiled once for all of them."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from calibration import cli as calibration
from optimizer import cli as optimizer
from simulator import cli as simulator


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
    return ran_in_process(simulator.main, "simulate", *args)


def calibrate(*args: object) -> Ran:
    """Run ``calibrate`` with these arguments."""
    return ran_in_process(calibration.main, "calibrate", *args)


def optimize(*args: object) -> Ran:
    """Run ``optimize`` with these arguments."""
    return ran_in_process(optimizer.main, "optimize", *args)


def ran_in_process(main: Callable[[], None], *words: object) -> Ran:
    """Run a command line with these words, the first its name."""
    out, err = io.StringIO(), io.StringIO()
    before, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = [*map(str, words)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
        signal.signal(signal.SIGTERM, handler)
    return Ran(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())

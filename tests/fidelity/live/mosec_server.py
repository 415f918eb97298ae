"""A model behind mosec; MODEL, MAX_BATCH and DELAY_MS stand in the environment.

(mosec starts its workers by importing this file anew, with its own options on the command line.)
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from mosec import Server, Worker
from served_models import MODELS


class Serve(Worker):  # type: ignore[misc]
    """One model instance."""

    def __init__(self) -> None:
        super().__init__()
        self.model, _ = MODELS[os.environ["MODEL"]]()

    def forward(self, data: Any) -> Any:
        """Answer the requests of one batch."""
        outputs = self.model(np.array([each["ids"] for each in data]))
        return [{"first": value} for value in outputs[:, 0].tolist()]


if __name__ == "__main__":
    server = Server()
    max_batch, delay_ms = int(os.environ["MAX_BATCH"]), int(os.environ["DELAY_MS"])
    server.append_worker(Serve, num=1, max_batch_size=max_batch, max_wait_time=delay_ms)
    server.run()

"""A model behind Triton's Python backend."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as triton
from served_models import MODELS


class TritonPythonModel:
    """One model instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model that the configuration names."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.model, _ = MODELS[parameters["model"]["string_value"]]()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests of one batch."""
        rows = [triton.get_input_tensor_by_name(request, "ids").as_numpy() for request in requests]
        outputs = np.split(self.model(np.concatenate(rows)), np.cumsum([len(row) for row in rows])[:-1])
        return [triton.InferenceResponse([triton.Tensor("first", output)]) for output in outputs]

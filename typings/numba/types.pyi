from typing import Any

int64: Any

"""Made-up values of nested columns, by MLflow's description of them.

Format: `mlflow.types.schema`, https://mlflow.org/docs/latest/ml/model/signatures/
"""

from collections.abc import Mapping
from typing import Any

SCALARS: Mapping[str, Any] = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "string": "a text",
    "binary": "",
    "datetime": "2025-01-01T00:00:00",
}


def value(spec: Mapping[str, Any]) -> Any:
    """A value of a description, with all that must be there."""
    match spec["type"]:
        case "array":
            return [value(spec["items"])]
        case "sparkml_vector":
            return [1.0]
        case "object":
            held = spec["properties"]
            return {name: value(each) for name, each in held.items() if each.get("required", True)}
        case "map":
            return {"a": value(spec["values"])}
    return SCALARS.get(spec["type"])

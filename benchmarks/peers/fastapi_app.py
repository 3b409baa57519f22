"""FastAPI as in its tutorial: the model is called once per request."""

import os
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic import create_model

from benchmarks.peers.loaded import loaded

COLUMNS = msgspec.json.decode(os.environ["BENCHMARK_COLUMNS"], type=dict[str, str])
FIELDS: dict[str, Any] = {
    name: (str if kind == "text" else float, ...) for name, kind in COLUMNS.items()
}
Row: Any = create_model("Row", **FIELDS)

app = FastAPI()
model = loaded()


@app.post("/predict")
def predict(row: Row) -> dict[str, Any]:
    """Answer one row."""
    values = [[getattr(row, name) for name in COLUMNS]]
    return {"prediction": model(values)[0].tolist()}

"""What contugas is compared with: the same model, served as tutorials do, and the bare server."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from bentos.flavors.loading import load
from bentos.flavors.mlmodel import MLmodel

tutorial = FastAPI()


class Reading(BaseModel):
    """One reading."""

    presion: float
    temperatura: float
    volumen: float


class Holder:
    """Loads the model on the first call, as a worker of uvicorn is imported before."""

    model: Any = None

    def predict(self, rows: Any) -> Any:
        """Answers as scikit-learn gives them."""
        if self.model is None:
            self.model = load(MLmodel(Path(os.environ["BENCHMARK_MODEL"]))).model
        return self.model.predict(rows)


holder = Holder()


@tutorial.post("/predict")
def predict(reading: Reading) -> dict[str, int]:
    """Answer one reading."""
    row = np.array([[reading.presion, reading.temperatura, reading.volumen]])
    cluster, prediccion = holder.predict(row)[0].tolist()
    return {"cluster": cluster, "prediccion": prediccion}


async def floor(scope: Scope, receive: Receive, send: Send) -> None:
    """The same answer to everything: what the HTTP server alone can do."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"28")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"cluster":2,"prediccion":1}'})

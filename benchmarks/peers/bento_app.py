"""BentoML with its own batching, and two workers."""

from typing import Any

import bentoml

from benchmarks.peers.loaded import loaded


@bentoml.service(workers=2, traffic={"timeout": 30})
class Batched:
    """One model."""

    def __init__(self) -> None:
        self.model = loaded()

    @bentoml.api(batchable=True, max_batch_size=256, max_latency_ms=20_000)  # type: ignore[untyped-decorator]
    def predict(self, rows: list[list[Any]]) -> list[Any]:
        """Answer the rows of several callers."""
        return [answer.tolist() for answer in self.model(rows)]

"""What `mlflow.pyfunc.load_model` calls for a forecaster, as in a notebook."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from training.itransformer.forecaster import CONFIG, WEIGHTS, Floats, Forecaster, load


class Notebook:
    """A forecaster with the method that MLflow asks for."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster = forecaster

    def predict(self, windows: NDArray[Any], params: dict[str, Any] | None = None) -> Floats:
        """Windows [B, seq_len, N + 4] to forecasts [B, pred_len, N]; there are no params."""
        return self.forecaster.predict(windows)


def _load_pyfunc(path: str) -> Notebook:
    return Notebook(load(Path(path, WEIGHTS), Path(path, CONFIG)))

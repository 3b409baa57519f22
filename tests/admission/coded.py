"""Versions with code, as MLflow stores them: a class in a pickle, or a script."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
from mlflow.models import infer_signature

with warnings.catch_warnings():  # mlflow warns about its own type hints, and those that lack
    warnings.simplefilter("ignore")
    import mlflow.pyfunc as pyfunc
    from mlflow.pyfunc.model import PythonModel

    class Doubles(PythonModel):
        """Goes into a pickle by value, as a class of a notebook does."""

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            """Twice the number."""
            return model_input["x"] * 2


cloudpickle.register_pickle_by_value(sys.modules[__name__])
__all__ = ["Doubles", "described", "pyfunc", "saved", "script"]
TABLE = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
# A model that does what its row says: 1 is a good row, the others are tricks.
SCRIPT = '''
import os, socket, sys, time
import mlflow.pyfunc
from mlflow.models import set_model

class Model(mlflow.pyfunc.PythonModel):
    kept = []

    def predict(self, context, model_input, params=None):
        """Twice the number, but for tricks."""
        for value in model_input["x"]:
            if value == {CRASHES}:
                os.abort()
            if value == {HANGS}:
                time.sleep(3600)
            if value == {LEAKS}:
                self.kept.append(b"x" * (300 << 20))
            if value == {SHORT}:
                return []
            if value == {LARGE}:
                return ["x" * (70 << 20)]
            if value == {RAISES}:
                raise ValueError("seven is unlucky")
            if value == {LOOKS}:
                return [look() for _ in model_input["x"]]
        return model_input["x"] * 2

def look():
    found = {"environment": sorted(os.environ), "files": [], "network": ""}
    for path in {PATHS!r}:
        try:
            found["files"].append(open(path).read())
        except OSError as error:
            found["files"].append(type(error).__name__)
    try:
        socket.create_connection(("127.0.0.1", {PORT}), 2)
        found["network"] = "open"
    except OSError as error:
        found["network"] = type(error).__name__
    return found

set_model(Model())
'''
CRASHES, HANGS, LEAKS, SHORT, RAISES, LOOKS, LARGE = 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 9.0


def script(folder: Path, paths: Sequence[str] = (), port: int = 1) -> Path:
    """Write the script of a model."""
    text = SCRIPT
    tricks: dict[str, Any] = {
        "CRASHES": CRASHES, "HANGS": HANGS, "LEAKS": LEAKS, "SHORT": SHORT, "LARGE": LARGE,
        "RAISES": RAISES, "LOOKS": LOOKS, "PORT": port,
    }  # fmt: skip
    for name, value in tricks.items():
        text = text.replace(f"{{{name}}}", repr(value))
    path = folder / "coded_model.py"
    path.write_text(text.replace("{PATHS!r}", repr(list(paths))))
    return path


def described() -> dict[str, Any]:
    """What both are logged with, beside their packages."""
    signature = infer_signature(TABLE, pd.DataFrame({"double": TABLE["x"] * 2}))
    return {"signature": signature}


def saved(model: Any, folder: Path, **options: Any) -> Path:
    """A version of a class or a script, in a folder."""
    place = folder / "version"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyfunc.save_model(str(place), python_model=model, pip_requirements=[], **options)
    return place

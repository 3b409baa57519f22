"""The recipe: scale, fit a small network, and measure what the service will answer."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

from training.keras_api.example import INPUTS, Floats, Part, Parts
from training.keras_api.graph import answer
from training.keras_api.settings import Settings
from training.progress import steps

Watch = Callable[[int, dict[str, float]], object]


@dataclass(frozen=True)
class Result:
    """A fitted network with its scalers; the losses after each epoch, in scaled units squared."""

    model: keras.Model
    input_scaler: StandardScaler
    output_scaler: StandardScaler
    losses: dict[str, list[float]] = field(repr=False)


def train(parts: Parts, settings: Settings, watch: Watch = lambda epoch, losses: None) -> Result:
    """Fit by Adam on the squared error; `watch` gets each epoch, from 1, and its losses."""
    keras.utils.set_random_seed(settings.random_state)
    scaler_X, scaler_y = StandardScaler().fit(parts.train.X), StandardScaler().fit(parts.train.y)
    model = network()
    model.compile(keras.optimizers.Adam(settings.learning_rate), loss="mse")

    def scaled(part: Part) -> tuple[Floats, Floats]:
        return scaler_X.transform(part.X), scaler_y.transform(part.y)

    with steps(settings.epochs, "training") as step:
        history = model.fit(
            *scaled(parts.train),
            validation_data=scaled(parts.validation),
            epochs=settings.epochs,
            batch_size=settings.batch,
            callbacks=[after_epoch(step, watch)],
            verbose=0,
        )
    losses = {"train_loss": history.history["loss"], "val_loss": history.history["val_loss"]}
    return Result(model, scaler_X, scaler_y, losses)


def network() -> keras.Model:
    """Two hidden layers, of 64 and 32."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((len(INPUTS),)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )


def after_epoch(step: Callable[[], object], watch: Watch) -> keras.callbacks.Callback:
    """Show and tell the losses of each epoch."""

    def after_epoch(epoch: int, logs: dict[str, float]) -> None:
        watch(epoch + 1, {"train_loss": logs["loss"], "val_loss": logs["val_loss"]})
        step()

    return keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)


def measure(served: keras.Model, part: Part) -> dict[str, float]:
    """Score what a served model answers, in the units of y; the last is the mean confidence."""
    answers = answer(served, part.X)
    predicted = answers[:, :-1]
    return {
        "rmse": float(root_mean_squared_error(part.y, predicted)),
        "mae": float(mean_absolute_error(part.y, predicted)),
        "r2": float(r2_score(part.y, predicted)),
        "confidence": float(np.mean(answers[:, -1])),
    }

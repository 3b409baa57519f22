"""Keras models for the keras_api service: registered by one call, imported, or trained here."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when keras is imported

from training.keras_api.registration import guardar_modelo

__all__ = ["guardar_modelo"]

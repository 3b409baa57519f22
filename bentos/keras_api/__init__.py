"""keras_api: any number of neural networks, by name, behind a token."""

from bentos.keras_api.service import KerasApi

__all__ = ["KerasApi"]

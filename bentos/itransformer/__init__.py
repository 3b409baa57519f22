"""itransformer: forecasts by models that clients train over HTTP or bring along."""

from bentos.itransformer.service import ITransformer

__all__ = ["ITransformer"]

"""Every promoted model that has no service of its own."""

from bentos.models.service import Models

__all__ = ["Models"]

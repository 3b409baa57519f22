"""Every promoted model that has no service of its own."""

from bentos.models.service import Models, app

__all__ = ["Models", "app"]

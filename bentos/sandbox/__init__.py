"""Programs of others, shut in: no network, no credentials, no files but their own."""

from bentos.sandbox.bubblewrap import Sandbox, python_paths, unavailable
from bentos.sandbox.limits import Limits

__all__ = ["Limits", "Sandbox", "python_paths", "unavailable"]

"""How the page of a model asks it."""

from typing import Any
from urllib.parse import quote

from bentos.models.calls import has_flag
from bentos.serving.slot import Slot
from bentos.web.console.asking import Asking, Link

MADE_UP = "with a row made up of what the model knows"


def asking(slot: Slot[Any, Any]) -> Asking | None:
    """Where rows of the live release are sent to, and its example."""
    release = slot.live
    if release is None or release.schema is None:
        return None
    name = quote(slot.name, safe="")
    below = {"docs": "docs", "OpenAPI": "openapi.json", "releases": "releases"}
    return Asking(
        f"{name}/predict",
        release.example.decode(),
        MADE_UP if release.made_up else "",
        proba=release.probabilities.predict is not None and has_flag(release),
        links=[Link(title, f"{name}/{path}") for title, path in below.items()],
    )

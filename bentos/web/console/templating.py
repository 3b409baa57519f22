"""The templates of the pages: whatever a model, a tag or a reason is called, it is text there."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from bentos.web.console import words
from bentos.web.docs import Assets

HERE = Path(__file__).parent
STATIC = HERE / "static"
# No script, style or form but those that come from here; nothing frames these pages.
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["words"] = words


def render(template: str, **values: Any) -> Markup:
    """A part of a page."""
    return Markup(_environment.get_template(template).render(values))  # noqa: S704 - escaped there


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A page."""
    return HTMLResponse(render(template, **values), status, HEADERS)


class Files(Assets):
    """The style and the script of the pages."""

    def __init__(self) -> None:
        super(Assets, self).__init__(directory=STATIC)

"""All pages of one service."""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from bentos.web.auth import session
from bentos.web.auth.guard import inside
from bentos.web.console.actions import Actions
from bentos.web.console.pages import Models, Overview, Site
from bentos.web.console.part import Part
from bentos.web.console.places import home, root_of
from bentos.web.console.sessions import Sessions
from bentos.web.console.templating import page
from bentos.web.endpoint import Endpoint
from bentos.web.errors import HTTPError, Rendered
from bentos.web.headers import first

MODEL = re.compile(r"/console/models/[^/]+")
HTML = b"text/html"


class Console:
    """The overview, the models, what may be done, and the errors of these pages.

    `page` is another path at which a model has its page, such as `/{name}`.
    """

    def __init__(self, part: Part, page: str = "") -> None:
        self.part = part
        self._site = Site(Sessions(part.gate), part)
        self._models = Models(self._site, part)
        self._page = page
        self._pages = re.compile(re.escape(page).replace(r"\{name\}", "[^/]+") if page else "/")

    @property
    def endpoints(self) -> list[Endpoint]:
        """All but the other page of a model."""
        return [
            *Overview(self._site, [self.part], stacked=False).endpoints,
            *self._site.endpoints,
            *self._models.endpoints,
            *Actions(self._site, self.part, self._models).endpoints,
        ]

    @property
    def last(self) -> list[Endpoint]:
        """The other page of a model, whose path may be that of anything."""
        return [Endpoint("GET", self._page, self.model)] if self._page else []

    @property
    def model(self) -> Callable[[Request], Awaitable[Response]]:
        """What shows a model."""
        return self._models.page

    def refused(self, scope: Scope, error: HTTPError) -> Rendered | None:
        """An error as a browser shows it, at a page; one that wants a login leads there."""
        path = inside(scope)
        shown = path in ("/", "/console") or path.startswith("/console/")
        if not (shown or self._pages.fullmatch(path)) or HTML not in first(scope, b"accept"):
            return None
        answer = _log_in(path) if error.status == 401 else _failed(path, error, self.part.stacked)
        return answer.status_code, answer.raw_headers, bytes(answer.body)


def _log_in(path: str) -> Response:
    found = MODEL.match(path)
    where = quote(found[0] if found else path if path.count("/") == 1 else "/").lstrip("/")
    return RedirectResponse(f"{root_of(path)}{session.LOGIN[1:]}?next={where}", 303)


def _failed(path: str, error: HTTPError, stacked: bool) -> Response:
    root = root_of(path)
    values = {"root": root, "home": home(root, stacked), "title": str(error.status)}
    values |= {"sentence": error.sentence}
    return page("error.html", error.status, **values)

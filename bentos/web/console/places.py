"""Where pages are, relative to each other: behind a proxy, nobody knows the whole path."""

import re

from starlette.requests import Request

from bentos.web.auth.guard import inside

BACK = re.compile(r"(console/models/)?[A-Za-z0-9._~%-]*")  # below the service, and nowhere else
DOTS = re.compile(r"(.*/)?\.+")


def root(request: Request) -> str:
    """The way from a page to its service, such as `../../`."""
    return root_of(inside(request.scope))


def root_of(path: str) -> str:
    """The way from a path within a service to the service."""
    return "../" * (path.count("/") - 1) or "./"


def home(root: str, stacked: bool) -> str:
    """The way to the overview of all there is: a stack's services lie below it."""
    return f"{root}../console" if stacked else f"{root}console"


def back_to(place: str) -> str:
    """A place of the service to go to after the login; anything else is its front page."""
    return place if BACK.fullmatch(place) and not DOTS.fullmatch(place) else ""

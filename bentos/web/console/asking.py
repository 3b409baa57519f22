"""How a model is asked: what the form of its page sends, and the same from programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bentos.serving.slot import Slot
from bentos.web.endpoint import Endpoint
from bentos.web.hot import Door

CURL = """curl {address} \\
  -H 'content-type: application/json' \\{token}
  -d {example}"""
PYTHON = """import requests

rows = {example}
answer = requests.post({address}, json=rows{token}, timeout=30)
answer.raise_for_status()
print(answer.headers["x-model-version"], answer.json())"""
JAVASCRIPT = """const answer = await fetch({address}, {{
  method: "POST",
  headers: {{"content-type": "application/json"{token}}},
  body: JSON.stringify({example}),
}});
console.log(answer.headers.get("x-model-version"), await answer.json());"""


@dataclass(frozen=True)
class Link:
    """A place below the service."""

    name: str
    path: str


@dataclass(frozen=True)
class Asking:
    """Where rows are sent to, below the service, and a body in JSON that may be sent.

    `proba` says that `?proba=true` asks for probabilities, too.
    """

    path: str
    example: str
    about: str = ""
    proba: bool = False
    links: Sequence[Link] = field(
        default_factory=lambda: (Link("docs", "docs"), Link("OpenAPI", "openapi.json"))
    )

    def snippets(self, root: str, guarded: bool) -> dict[str, str]:
        """Programs that ask, by language; `root` is the address of the service."""
        address = root + self.path
        value = json.loads(self.example)
        return {
            "curl": CURL.format(
                address=_quoted(address),
                token='\n  -H "authorization: Bearer $ASCENSO_TOKEN" \\' if guarded else "",
                example=_quoted(self.example),
            ),
            "Python": PYTHON.format(
                address=repr(address),
                token=', headers={"authorization": f"Bearer {token}"}' if guarded else "",
                example=repr(value),
            ),
            "JavaScript": JAVASCRIPT.format(
                address=json.dumps(address),
                token=", authorization: `Bearer ${token}`" if guarded else "",
                example=self.example,
            ),
        }


def asked_by(endpoints: Iterable[Endpoint], slot: Slot[Any, Any]) -> Asking | None:
    """The first fast route that leads to a slot, or to those of several models."""
    for one in endpoints:
        fits = getattr(one.handler, "slot", slot) is slot
        if isinstance(one.handler, Door) and one.examples and fits:
            example = msgspec.json.format(msgspec.json.encode(next(iter(one.examples.values()))))
            return Asking(one.path.removeprefix("/"), example.decode(), one.summary)
    return None


def _quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"

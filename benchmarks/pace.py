"""A client that asks contugas at a steady pace, and what its callers would have felt."""

import http.client
import statistics
import sys
import time
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.table import Table

CALLS_A_SECOND = 200
ONE = b'{"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}'
JSON = {"content-type": "application/json"}

Spell = list[float]  # the milliseconds that each call took


def spell(api: str, seconds: float) -> Spell:
    """Call for a while. A call counts from when it was due, so a slow one costs those behind it.

    Exits when an answer is not 200.
    """
    address = urlsplit(api)
    line = http.client.HTTPConnection(address.hostname or "", address.port)
    taken, began = [], time.perf_counter()
    for number in range(int(CALLS_A_SECOND * seconds)):
        due = began + number / CALLS_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        line.request("POST", "/contugas/predict", ONE, JSON)
        answer = line.getresponse()
        answer.read()
        if answer.status != httpx.codes.OK:
            sys.exit(f"contugas answered {answer.status}")
        taken.append(1000 * (time.perf_counter() - due))
    line.close()
    return taken


def show(spells: dict[str, list[Spell]]) -> None:
    """Print the medians over each kind's spells, and the p99 of each spell; the first is 1."""
    table = Table("contugas", "p50 ms", "p99 ms", "p99.9 ms", "p99 to first", "p99 of each spell")
    base = 0.0
    for kind, all_ in spells.items():
        cuts = [statistics.median(_share(t, share) for t in all_) for share in (0.5, 0.99, 0.999)]
        base = base or cuts[1]
        each = " ".join(f"{_share(taken, 0.99):.1f}" for taken in all_)
        table.add_row(kind, *(f"{ms:.1f}" for ms in cuts), f"{cuts[1] / base:.2f}", each)
    Console().print(table)


def _share(taken: Spell, share: float) -> float:
    return sorted(taken)[int(share * len(taken))]

"""The coins that prices are known of, and what the models need of each one's last day."""

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass

from training.cripto.names import place
from training.errors import InputError

log = logging.getLogger(__name__)

Row = tuple[float, ...]


@dataclass(frozen=True)
class Coin:
    """A coin's last known day (ISO date), its close, and its features."""

    last_day: str
    close: float
    row: Row
    synthetic: bool


class Coins:
    """Coins by symbol. `update` is called by one thread; readers see each coin old or new."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._known: dict[str, Coin] = {}

    def get(self, symbol: str) -> Coin | None:
        """A coin, if there is a price of it."""
        return self._known.get(symbol)

    @property
    def symbols(self) -> list[str]:
        """Every known symbol, sorted."""
        return sorted(self._known)

    def update(self, files: Mapping[str, bytes], changed: Set[str]) -> None:
        """Take over the files (`BTC/daily.csv`) of the symbols that some file changed of.

        A coin keeps what was known of it while a file of its cannot be read.
        """
        by_symbol: dict[str, dict[str, bytes]] = {}
        for key, body in files.items():
            if at := place(key):
                by_symbol.setdefault(at[0], {})[at[1]] = body
        for symbol in sorted({at[0] for key in changed if (at := place(key))}):
            try:
                coin = self._read(symbol, by_symbol.get(symbol, {}))
            except InputError as error:
                log.warning("%s; what was known of %s stays", error, symbol)
                continue
            except Exception:  # one coin's files must not keep the others' from being read
                log.exception("reading the files of %s failed", symbol)
                continue
            if coin:
                self._known[symbol] = coin
            else:
                self._known.pop(symbol, None)

    def _read(self, symbol: str, files: Mapping[str, bytes]) -> Coin | None:
        # Here, as pandas takes a second that no other service's first answer should wait for.
        from training.cripto.features import features
        from training.cripto.store import assemble

        stored = assemble(self._where, symbol, files)
        if stored.table.empty:
            return None
        last = stored.table.iloc[-1]
        row: Row = tuple(features(stored.table).iloc[-1].tolist())
        return Coin(str(last["date"].date()), float(last["close"]), row, stored.synthetic)

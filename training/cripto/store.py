"""The daily prices in S3: `<root>/{symbol}/*.csv` or parquet, in either form.

`ingest` keeps one object a symbol, DAILY. Other files beside it are read too.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from training.cripto import prices
from training.cripto.names import DAILY, SYNTHETIC, place
from training.data import s3_errors
from training.errors import InputError
from training.progress import track

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger("training")


@dataclass(frozen=True)
class Coin:
    """All that the store knows of a symbol; `table` is clean."""

    table: pd.DataFrame
    synthetic: bool


@dataclass(frozen=True)
class Change:
    """What an ingest means to one symbol: `body` is to be written at `key`, unless it is there."""

    key: str
    body: bytes
    before: bytes
    added: int
    differing: int


def assemble(where: str, symbol: str, files: Mapping[str, bytes]) -> Coin:
    """Put together the files of one symbol, by name; of two rows for a day, the last name's stays.

    Raises `InputError` naming the file that cannot be read.
    """
    real = {name: body for name, body in files.items() if name != SYNTHETIC}
    read = real or files
    tables = [prices.decode(f"{where}/{symbol}/{name}", read[name]).table for name in sorted(read)]
    table = tables[0] if len(tables) == 1 else prices.combine([prices.empty(), *tables])
    return Coin(table[table["symbol"] == symbol].reset_index(drop=True), synthetic=not real)


class Store:
    """Daily prices below one prefix of a bucket."""

    def __init__(self, location: str, client: "S3Client") -> None:
        url = urlsplit(location)
        if url.scheme != "s3" or not url.netloc:
            raise InputError(f"{location} is no s3://bucket/prefix.")
        self.location = location.rstrip("/")
        self.bucket = url.netloc
        self.prefix = f"{url.path.strip('/')}/".lstrip("/")
        self.client = client

    def table(self) -> pd.DataFrame:
        """Every symbol's clean prices. Raises `InputError` when a file cannot be read."""
        coins = [
            assemble(self.location, symbol, {name: self.get(f"{symbol}/{name}") for name in names})
            for symbol, names in self.names().items()
        ]
        return prices.combine([prices.empty(), *(coin.table for coin in coins)])

    def names(self) -> dict[str, list[str]]:
        """The files of each symbol."""
        found: dict[str, list[str]] = {}
        with s3_errors(self.location):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix
            )
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        for key in keys:
            if at := place(key.removeprefix(self.prefix)):
                found.setdefault(at[0], []).append(at[1])
        return found

    def get(self, key: str) -> bytes:
        """One object, whole."""
        with s3_errors(f"{self.location}/{key}"):
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()

    def ingest(
        self, table: pd.DataFrame, replace: bool = False, name: str = DAILY
    ) -> list[Change]:
        """Add clean rows; a day that is there already stays as it is, unless `replace`.

        Everything is read and checked before anything is written, each symbol in one piece.
        """
        known = self.names()
        changes = [
            self._change(str(symbol), coin, name in known.get(str(symbol), ()), replace, name)
            for symbol, coin in table.groupby("symbol")
        ]
        for change in track(changes, len(changes), "ingest"):
            if change.body != change.before:
                with s3_errors(f"{self.location}/{change.key}"):
                    self.client.put_object(
                        Bucket=self.bucket, Key=self.prefix + change.key, Body=change.body
                    )
        return changes

    def _change(
        self, symbol: str, coin: pd.DataFrame, known: bool, replace: bool, name: str
    ) -> Change:
        key = f"{symbol}/{name}"
        before = self.get(key) if known else b""
        stored = prices.decode(f"{self.location}/{key}", before).table if known else prices.empty()
        pair = [stored, coin] if replace else [coin, stored]
        merged = prices.combine(pair)
        both = coin.merge(stored, on=["symbol", "date"], suffixes=("", "_stored"))
        same = [
            (both[value] == both[f"{value}_stored"]) | both[value].isna()
            for value in (*prices.PRICES, "volume")
        ]
        differing = int((~np.logical_and.reduce(same)).sum())
        return Change(key, prices.to_csv(merged), before, len(merged) - len(stored), differing)


def open_store(location: str) -> Store:
    """A store; endpoint and keys come from the environment, as boto3 reads them."""
    import boto3

    with s3_errors(location):
        return Store(location, boto3.Session().client("s3"))


def ingest(locations: Sequence[str], target: Store, replace: bool) -> None:
    """Read all files, then add their rows in that order; say what was done.

    Raises `InputError` naming a file that cannot be read; nothing is written then.
    """
    read = [prices.read(location) for location in locations]
    for each in read:
        log.info("%s", each.described())
    ordered = read if replace else reversed(read)  # as if they came one after the other
    changes = target.ingest(prices.combine([each.table for each in ordered]), replace)
    tell(target, changes, replace)


def tell(target: Store, changes: Sequence[Change], replace: bool) -> None:
    """Log what an ingest did."""
    changed = [change for change in changes if change.body != change.before]
    days = sum(change.added for change in changes)
    log.info(
        "%s: %d days added; %d of %d symbols changed.",
        target.location,
        days,
        len(changed),
        len(changes),
    )
    if differing := sum(change.differing for change in changes):
        what = "were replaced" if replace else "were kept; --replace takes the files'"
        log.warning("%d days differ from those in the store, which %s.", differing, what)

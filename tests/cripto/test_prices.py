"""Prices come and go in the store, while a service answers on them."""

import json
from functools import partial
from pathlib import Path

import httpx
import pandas as pd
import pytest

from bentos.cripto.messages import MODELS
from deploy.local.settings import BUCKET
from tests.cripto.bench import ALIAS, PREFIX, Bench, outlook, registered
from tests.e2e.service import status
from tests.services import served
from tests.stack import wait_for


def test_new_rows_are_seen_without_a_restart(
    bench: Bench, client: httpx.Client, prices: pd.DataFrame
) -> None:
    before = outlook(client)
    day = prices.iloc[[-1]].assign(date=prices["date"].iloc[-1] + pd.Timedelta(days=1))
    day[["open", "high", "low", "close"]] *= 1.1
    bench.put("BTC/next.csv", day)
    bench.put("NEW/daily.csv", prices.assign(symbol="NEW"))
    try:
        tomorrow = str(day["date"].iloc[0].date())
        wait_for(lambda: outlook(client)["ultimo_dado"] == tomorrow, 60)
        after = outlook(client)
        for name in ("regressor_rf", "regressor_gbr", "regressor_lin"):
            old, new = (answer["modelos"][name]["predicao"] for answer in (before, after))
            assert new / old == pytest.approx(1.1, abs=0.05)
        wait_for(lambda: client.get("/symbol/NEW").status_code == 200, 60)
    finally:
        for name in ("BTC/next.csv", "NEW/daily.csv"):
            bench.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")
    wait_for(lambda: outlook(client)["modelos"] == before["modelos"], 60)
    wait_for(lambda: client.get("/symbol/NEW").status_code == 404, 60)


def test_a_file_that_cannot_be_read_leaves_what_was_known(
    bench: Bench, client: httpx.Client, folder: Path
) -> None:
    before = outlook(client)["modelos"]
    bench.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/BTC/broken.csv", Body=b"a,b\n1,2\n")
    log = folder / "service.log"
    try:
        wait_for(lambda: "BTC/broken.csv has no column" in log.read_text(), 60)
        assert outlook(client)["modelos"] == before
    finally:
        bench.s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/BTC/broken.csv")


def test_s3_and_mlflow_down_at_the_next_start(
    bench: Bench, url: str, client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    """Prices and models last on disk: a restart answers, and says what it cannot reach."""
    expected = outlook(client)
    down = bench.env | {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "ASCENSO_HOME": str(folder / "home"),
        "ASCENSO_CHANNELS": json.dumps({registered(m): {"alias": ALIAS} for m in MODELS}),
    }
    with served("bentos.cripto:Cripto", "http://127.0.0.1:9", tmp_path, **down) as again:
        wait_for(lambda: status(f"{again}/symbol/BTC") == 200, 120)
        body = httpx.get(f"{again}/symbol/BTC", timeout=60).json()
        assert body["modelos"] == expected["modelos"]
        assert body["ultimo_dado"] == expected["ultimo_dado"]
        for trouble in ("cannot list s3://", "MLflow at http://127.0.0.1:9 does not answer"):
            wait_for(partial(degraded, again, trouble), 120)


def degraded(url: str, trouble: str) -> bool:
    return trouble in str(httpx.get(f"{url}/releases", timeout=60).json()["degraded"])

"""What strangers send: read as data, refused with a reason, and never run."""

import io
import os
import pickle
from pathlib import Path

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from bentos.itransformer import bundles, scalers
from bentos.itransformer.uploads import Form, passing, unpack
from bentos.web.errors import HTTPError
from tests.itransformer import zips
from tests.itransformer.zips import ESCAPED, HOSTILE
from training.errors import InputError
from training.itransformer.forecaster import Forecaster

MOST = 100_000_000


def opened(content: bytes, folder: Path, form: Form = Form()) -> Forecaster:  # noqa: B008
    unpack(io.BytesIO(content), folder, MOST)
    return bundles.read(folder, form)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_zips_are_refused(what: str, tmp_path: Path) -> None:
    ESCAPED.unlink(missing_ok=True)
    make, reason = HOSTILE[what]
    folder = tmp_path / "in" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises((HTTPError, InputError)) as refused:
        opened(make(), folder)
    error = refused.value
    assert reason in (error.message if isinstance(error, InputError) else str(error))
    assert not ESCAPED.exists()
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents
    ] == []


def test_a_pair_of_the_original_is_read(tmp_path: Path) -> None:
    forecaster = opened(zips.original(), tmp_path)
    assert forecaster.config.architecture == msgspec.structs.replace(zips.SHAPE, dropout=0.1)
    assert forecaster.config.columns == ("x1", "x2")
    assert forecaster.config.step == "h"
    fitted = zips.scaler()
    assert forecaster.config.mean == tuple(fitted.mean_)
    assert forecaster.config.scale == tuple(fitted.scale_)
    assert forecaster.predict(np.zeros((1, 24, 6))).shape == (1, 6, 2)


def test_a_client_tells_what_a_pair_cannot(tmp_path: Path) -> None:
    config = opened(
        zips.original(), tmp_path, Form(n_heads=4, step="15min", columns="a, b")
    ).config
    assert (config.columns, config.step, config.architecture.n_heads) == (("a", "b"), "15min", 4)


def test_what_a_killed_service_left_is_swept(tmp_path: Path) -> None:
    old = tmp_path / "passing" / "old"
    old.mkdir(parents=True)
    (old / "weights.pth").write_bytes(b"x")
    os.utime(old, (0, 0))
    with passing(tmp_path) as one, passing(tmp_path) as other:
        assert one.is_dir()
        assert other.is_dir()
        assert not old.exists()
    assert list((tmp_path / "passing").iterdir()) == []


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (Form(n_heads=5), "must be a multiple of `n_heads` 5"),
        (Form(columns="a"), "There are 1 names of columns, and the .pkl scales 2"),
        (Form(columns="a,a"), "must be distinct"),
        (Form(columns="date,a"), "none is 'date'"),
    ],
)
def test_what_a_client_tells_must_fit(form: Form, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        opened(zips.original(), tmp_path, form)


def test_there_and_back(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    form = Form(n_heads=4, step="D", columns="a,b")
    first = opened(zips.original(), tmp_path / "one", form)
    bundles.write(first, "plant", tmp_path / "plant.zip")
    second = opened((tmp_path / "plant.zip").read_bytes(), tmp_path / "two")
    assert second.config == first.config
    windows = np.random.default_rng(1).normal(5, 2, (3, 24, 6))
    assert np.array_equal(second.predict(windows), first.predict(windows))
    fitted = pickle.loads((tmp_path / "two" / "scaler.pkl").read_bytes())
    assert isinstance(fitted, StandardScaler)
    table = pd.DataFrame(windows[0, :, :2], columns=["a", "b"])
    scaled = (table.to_numpy() - np.array(first.config.mean)) / np.array(first.config.scale)
    assert np.array_equal(fitted.transform(table), scaled)


def test_two_scalers_that_differ_are_refused(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    bundles.write(opened(zips.original(), tmp_path), "plant", tmp_path / "plant.zip")
    unpack(io.BytesIO((tmp_path / "plant.zip").read_bytes()), tmp_path / "two", MOST)
    (tmp_path / "two" / "scaler.pkl").write_bytes(zips.pkl(zips.scaler(mean_=np.zeros(2))))
    with pytest.raises(InputError, match="tell different scalers"):
        bundles.read(tmp_path / "two", Form())


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_scalers_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    fitted = zips.scaler(3)
    fitted.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    path = tmp_path / "scaler.pkl"
    path.write_bytes(pickle.dumps(fitted, protocol=protocol))
    mean, scale, columns = scalers.read(path)
    assert np.array_equal(mean, fitted.mean_)
    assert np.array_equal(scale, fitted.scale_)
    assert columns == ["a", "b", "c"]


def test_scalers_that_joblib_wrote_are_read(tmp_path: Path) -> None:
    fitted = zips.scaler(3)
    joblib.dump(fitted, tmp_path / "scaler.pkl")
    mean, scale, columns = scalers.read(tmp_path / "scaler.pkl")
    assert np.array_equal(mean, fitted.mean_)
    assert np.array_equal(scale, fitted.scale_)
    assert columns == []


def test_a_scaler_may_leave_mean_or_scale_alone(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(5, 2, (50, 2))
    path = tmp_path / "scaler.pkl"
    path.write_bytes(pickle.dumps(StandardScaler(with_mean=False, with_std=False).fit(rows)))
    mean, scale, _ = scalers.read(path)
    assert (mean.tolist(), scale.tolist()) == ([0, 0], [1, 1])


def test_a_scaler_is_small(tmp_path: Path) -> None:
    path = tmp_path / "scaler.pkl"
    path.write_bytes(bytes(2_000_000))
    with pytest.raises(InputError, match="has 2,000,000 bytes"):
        scalers.read(path)

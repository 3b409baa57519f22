"""Known shifts of real readings and songs are found, and none in rows that were held out."""

from pathlib import Path

import pytest

from bentos.serving.drift import Drift
from tests.drift import real
from tests.drift.real import Known
from training.contugas.model import OUTPUTS
from training.spotify.features import OUTPUT, UNKNOWN

SHIFT, NONE = 0.25, 0.1


def needed(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"no {path.name} beside the repository, in ../shared/data")


def shifted(found: Drift) -> set[str]:
    """The columns that are shifted; no other may be so by more than a little."""
    sides = {**found.columns, **found.outputs}
    indices = {name: column.psi for name, column in sides.items() if column.psi is not None}
    assert indices.keys() == sides.keys()
    assert not {name: psi for name, psi in indices.items() if NONE < psi < SHIFT}
    return {name for name, psi in indices.items() if psi >= SHIFT}


@pytest.fixture(scope="module")
def gas(tmp_path_factory: pytest.TempPathFactory) -> Known:
    needed(real.READINGS)
    return real.gas(tmp_path_factory.mktemp("gas"))


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Known:
    needed(real.SONGS)
    return real.music(tmp_path_factory.mktemp("music"))


def test_readings_that_were_held_out_show_no_shift(gas: Known) -> None:
    assert shifted(gas.of_readings(gas.held)) == set()


def test_pressure_that_is_scaled_is_found(gas: Known) -> None:
    found = gas.of_readings(gas.held.assign(presion=gas.held["presion"] * 1.5))
    assert "presion" in shifted(found) <= {"presion", *OUTPUTS}
    assert (found.columns["presion"].outside or 0) > 0


def test_a_sensor_that_is_dead_is_found(gas: Known) -> None:
    found = gas.of_readings(gas.held.assign(temperatura=0.0))
    assert "temperatura" in shifted(found)
    assert (found.columns["presion"].psi or 0) < NONE


def test_songs_that_were_held_out_show_no_shift(music: Known) -> None:
    found = music.of_songs(music.held)
    assert shifted(found) == set()
    assert found.columns["track_genre"].unknown == 0


def test_a_genre_that_is_dropped_in_is_found(music: Known) -> None:
    found = music.of_songs(real.with_polka(music.held))
    assert "track_genre" in shifted(found) <= {"track_genre", OUTPUT}
    assert found.columns["track_genre"].unknown == pytest.approx(0.3, abs=0.03)


def test_names_that_are_left_out_are_found(music: Known) -> None:
    found = music.of_songs(music.held.assign(artists=UNKNOWN))
    artists = found.columns["artists"]
    assert (artists.psi or 0) > SHIFT
    assert artists.missing == 1

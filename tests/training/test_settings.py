from pathlib import Path

import pytest

from training.contugas.settings import Settings
from training.errors import InputError
from training.settings import PATH, read_settings


@pytest.fixture
def text() -> str:
    return PATH.read_text()


def read(tmp_path: Path, text: str, family: str = "contugas") -> Settings:
    path = tmp_path / "training.yaml"
    path.write_text(text)
    return read_settings(family, Settings, path)


def test_the_recipe_is_that_of_the_contract() -> None:
    settings = read_settings("contugas", Settings)
    assert (settings.clusters, settings.random_state, settings.kmeans_inits) == (5, 42, 10)
    assert settings.percentiles == (10, 90)
    assert settings.contamination == (0.001, 0.499)
    assert settings.thresholds == (-1, 1, 201)


def test_an_unknown_key_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"training\.yaml, contugas: .*unknown field `clusterz`"):
        read(tmp_path, text.replace("clusters:", "clusterz:"))
    with pytest.raises(InputError, match=r"unknown field `sed` - at `\$\.synthetic`"):
        read(tmp_path, text.replace("seed:", "sed:"))


def test_a_missing_key_is_named(tmp_path: Path, text: str) -> None:
    without = "\n".join(line for line in text.splitlines() if "random_state" not in line)
    with pytest.raises(InputError, match="missing required field `random_state`"):
        read(tmp_path, without)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clusters: 5", "clusters: 1", r">= 2 - at `\$\.clusters`"),
        ("clusters: 5", "clusters: many", r"Expected `int`, got `str` - at `\$\.clusters`"),
        ("[10, 90]", "[90, 10]", "`percentiles` goes from 90.0 to 10.0"),
        ("[10, 90]", "[10]", r"\$\.percentiles"),
        ("0.499]", "0.6]", r"<= 0.5 - at `\$\.contamination\[1\]`"),
        ("[-1.0, 1.0, 201]", "[1.0, -1.0, 201]", "`thresholds` goes from 1.0 to -1.0"),
        ("clients: 20", "clients: 0", r"at `\$\.synthetic\.clients`"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    tmp_path: Path, text: str, old: str, new: str, message: str
) -> None:
    assert old in text
    with pytest.raises(InputError, match=message):
        read(tmp_path, text.replace(old, new))


def test_files_that_hold_no_settings(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="has no settings for 'spotify'"):
        read(tmp_path, "contugas: {}", family="spotify")
    with pytest.raises(InputError, match="Expected `object`, got `null`"):
        read(tmp_path, "")
    with pytest.raises(InputError, match=r"training\.yaml: "):
        read(tmp_path, "contugas: [")
    with pytest.raises(InputError, match=r"Cannot read .*gone\.yaml: No such file"):
        read_settings("contugas", Settings, tmp_path / "gone.yaml")

from pathlib import Path

import pytest

from training.errors import InputError
from training.settings import PATH, read_settings
from training.spotify.settings import Settings


def test_the_recipe_is_that_of_the_contract_for_a_small_machine() -> None:
    settings = read_settings("spotify", Settings)
    assert (settings.test_part, settings.random_state) == (0.2, 42)
    assert (settings.learning_rate, settings.l2_leaf_reg, settings.border_count) == (0.05, 1, 254)
    assert settings.iterations <= 1500
    assert settings.depth <= 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_part: 0.2", "test_part: 1", r"Expected `float` < 1.0 - at `\$\.test_part`"),
        ("depth: 6", "depth: 17", r"<= 16 - at `\$\.depth`"),
        ("iterations: 300", "iterations: 0", r">= 1 - at `\$\.iterations`"),
        ("iterations: 300", "iteration: 300", "unknown field `iteration`"),
        ("songs: 4000", "songs: 10", r">= 100 - at `\$\.synthetic\.songs`"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = PATH.read_text()
    assert old in text
    path = tmp_path / "training.yaml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_settings("spotify", Settings, path)

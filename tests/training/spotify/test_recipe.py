import logging
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from training.data import read_dataset
from training.spotify import figures
from training.spotify.features import popularity
from training.spotify.recipe import Result, measure, train
from training.spotify.settings import Settings
from training.spotify.songs import COLUMNS, Songs, clean


def test_a_fifth_is_set_aside_for_the_test(songs: Songs, result: Result) -> None:
    _, test = train_test_split(np.arange(len(songs.rows)), test_size=0.2, random_state=42)
    assert len(result.test) == 120
    assert result.test.equals(songs.rows.iloc[test])


def test_scores_are_of_the_test_part_on_its_scale(songs: Songs, result: Result) -> None:
    rest, test = train_test_split(np.arange(len(songs.rows)), test_size=0.2, random_state=42)
    actual = songs.popularity[test]
    off = popularity(result.model.predict(songs.rows.iloc[test])) - actual
    naive = np.median(songs.popularity[rest]) - actual
    for scores, miss in ((result.scores, off), (result.baseline, naive)):
        assert scores.rmse == pytest.approx(np.sqrt((miss**2).mean()))
        assert scores.mae == pytest.approx(np.abs(miss).mean())
        assert scores.r2 == pytest.approx(
            1 - (miss**2).sum() / ((actual - actual.mean()) ** 2).sum()
        )
    assert result.scores.rmse < result.baseline.rmse


def test_the_settings_reach_catboost(result: Result, spotify_settings: Settings) -> None:
    used = result.model.get_all_params()
    for name in ("iterations", "learning_rate", "depth", "l2_leaf_reg", "border_count"):
        assert used[name] == pytest.approx(getattr(spotify_settings, name)), name
    assert used["random_seed"] == spotify_settings.random_state
    assert used["od_wait"] == spotify_settings.early_stopping_rounds
    assert result.model.get_cat_feature_indices() == [14, 15, 16, 17]


def test_it_stops_early_and_keeps_the_best_trees(songs: Songs, spotify_settings: Settings) -> None:
    eager = msgspec.structs.replace(
        spotify_settings, iterations=400, learning_rate=0.8, early_stopping_rounds=5
    )
    result = train(songs, eager)
    assert len(result.validation) < 400
    assert result.model.tree_count_ == int(np.argmin(result.validation)) + 1
    assert len(result.validation) == result.model.tree_count_ + 5


def test_the_same_songs_give_the_same_model(
    songs: Songs, result: Result, spotify_settings: Settings
) -> None:
    again = train(songs, spotify_settings)
    assert np.allclose(again.model.predict(result.test), result.model.predict(result.test))


def test_a_model_without_anything_to_learn_is_reported(
    songs: Songs, spotify_settings: Settings
) -> None:
    noise = np.random.default_rng(0).uniform(0, 100, len(songs.popularity))
    result = train(replace(songs, popularity=noise), spotify_settings)
    assert result.scores.r2 < 0.1


def test_perfect_estimates_score_perfectly() -> None:
    actual = np.array([1.0, 50, 99])
    assert measure(actual, actual) == measure(actual, actual.copy())
    assert (measure(actual, actual).rmse, measure(actual, actual).r2) == (0, 1)


def test_progress_is_reported(
    songs: Songs,
    spotify_settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.progress.time.monotonic", iter(range(0, 10**6, 6)).__next__)
    with caplog.at_level(logging.INFO, "training"):
        train(songs, msgspec.structs.replace(spotify_settings, iterations=3))
    assert caplog.messages == [f"boosting: {done} of 3" for done in (1, 2, 3)]


def test_figures_show_all_features_and_both_curves(result: Result) -> None:
    (axes,) = figures.importances(result).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(labels) == sorted(result.test.columns)
    assert sum(result.importances.values()) == pytest.approx(100)
    drawn = [np.asarray(line.get_data()) for line in figures.learning_curve(result).axes[0].lines]
    assert drawn[0][1].tolist() == list(result.learning)
    assert drawn[1][1].tolist() == list(result.validation)
    assert drawn[2][0][0] == result.model.tree_count_ - 1


def test_real_songs_are_better_estimated_than_by_the_median(
    real_file: Path, spotify_settings: Settings
) -> None:
    result = train(clean(read_dataset(str(real_file), COLUMNS)), spotify_settings)
    assert result.baseline.rmse == pytest.approx(30.363, abs=0.001)
    assert result.baseline.r2 < 0
    assert result.scores.rmse < 16
    assert result.scores.mae < result.baseline.mae / 2

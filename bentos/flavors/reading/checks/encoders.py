"""Encoders: their numbers become places in sparse matrices, which are filled without looking."""

from typing import Any

import numpy as np

from bentos.flavors.reading.checks.trees import width_of
from bentos.flavors.reading.names import expect


def check_one_hot(encoder: Any) -> None:
    """Refuse an encoder that would put a category beside its columns."""
    held = vars(encoder)
    if "categories_" not in held:
        return
    known, outputs = held["categories_"], held["_n_features_outs"]
    expect(
        type(known) is list and type(outputs) is list and len(known) == len(outputs),
        "a OneHotEncoder has other columns than categories",
    )
    dropped = held.get("_drop_idx_after_grouping")
    for at, categories in enumerate(known):
        count = _grouped(held, at, len(categories))
        if dropped is not None and dropped[at] is not None:
            expect(0 <= int(dropped[at]) < count, "a OneHotEncoder drops what it has not")
            count -= 1
        expect(outputs[at] == count, "a OneHotEncoder has other columns than categories")


def _grouped(held: dict[str, Any], at: int, count: int) -> int:
    """How many categories are left when rare ones are one."""
    if not held.get("_infrequent_enabled"):
        return count
    rare, groups = held["_infrequent_indices"][at], held["_default_to_infrequent_mappings"][at]
    if rare is None:
        expect(groups is None, "a OneHotEncoder groups what is not rare")
        return count
    left = count - len(rare) + 1
    expect(
        len(rare) > 0
        and np.all((rare >= 0) & (rare < count))
        and isinstance(groups, np.ndarray)
        and groups.shape == (count,)
        and groups.dtype.kind in "iu"
        and np.all((groups >= 0) & (groups < left)),
        "a OneHotEncoder groups categories that are not there",
    )
    return left


def check_vocabulary(vectorizer: Any) -> None:
    """Each word has a column of its own."""
    words = vars(vectorizer).get("vocabulary_")
    expect(words is None or _numbered(words), "a vocabulary has other columns than words")


def check_labels(binarizer: Any) -> None:
    """Each label has a column of its own."""
    labels = vars(binarizer).get("_cached_dict")
    expect(labels is None or _numbered(labels), "labels have other columns than there are")


def _numbered(words: Any) -> bool:
    return isinstance(words, dict) and sorted(words.values()) == list(range(len(words)))


def check_texts(model: Any) -> None:
    """A text is what a caller sends, not a file of this machine."""
    expect(
        vars(model).get("input") == "content",
        f"a {type(model).__name__} opens files that a caller names; give it input='content'",
    )
    check_vocabulary(model)


def check_hashing(model: Any) -> None:
    """Words are divided by the number of columns."""
    count = vars(model).get("n_features")
    expect(
        isinstance(count, int | np.integer) and 0 < count < 2**31,
        f"a {type(model).__name__} has no columns",
    )
    if "input" in vars(model):
        check_texts(model)


def check_powers(model: Any) -> None:
    """As many columns are asked for as are filled: the others would hold foreign memory."""
    held = vars(model)
    if "_n_out_full" not in held:
        return
    low, high = held["_min_degree"], held["_max_degree"]
    expect(
        isinstance(low, int | np.integer) and isinstance(high, int | np.integer) and low <= high,
        "PolynomialFeatures have no degree",
    )
    kind = {key: held[key] for key in ("interaction_only", "include_bias")}
    full, kept = (
        model._num_combinations(
            n_features=width_of(model), min_degree=least, max_degree=high, **kind
        )
        for least in (0, low)
    )
    expect(
        held["_n_out_full"] == full and held["n_output_features_"] == kept,
        "PolynomialFeatures have other columns than powers",
    )

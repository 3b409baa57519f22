"""XGBoost, LightGBM and CatBoost within pickles: their bytes go to their own loaders.

Those of XGBoost and LightGBM are checked before. CatBoost's are not: its loader can crash on
bytes that were made for it, as it can on a `cbm` file, so it must run in a process of its own.
"""

import re
from functools import partial
from typing import Any

from bentos.flavors.reading.checks.boosters import check_lightgbm, check_xgboost
from bentos.flavors.reading.errors import Damaged
from bentos.flavors.reading.names import MAKERS, Maker, expect, imported, stateful
from bentos.flavors.reading.ubj import Ubj

PLAIN = (str, int, float, bool, type(None))
CATBOOST = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")


@stateful("xgboost.core.Booster")
def xgboost(args: tuple[Any, ...], state: Any) -> Any:
    """A booster, of its model alone: how it was trained is not read."""
    expect(not args and type(state) is dict, "a booster has no state")
    made = imported("xgboost.core.Booster")()
    content = state.get("handle")
    if content is not None:
        expect(type(content) is bytearray, "a booster is no bytes: its release is too old")
        document = Ubj(bytes(content))
        held = document.read()
        model = held.get("Model") if isinstance(held, dict) else None
        expect(isinstance(model, dict), "a booster is no model")
        check_xgboost(model)
        start, end = document.places[("Model",)]
        made.load_model(content[start:end])
    return made


@stateful("lightgbm.basic.Booster")
def lightgbm(args: tuple[Any, ...], state: Any) -> Any:
    """A booster, of its text."""
    from bentos.flavors.booster_files import check_text
    from bentos.refusal import Refusal

    expect(not args and type(state) is dict, "a booster has no state")
    text = state.get("_handle", state.get("handle"))
    expect(type(text) is str and "\r" not in text and "\0" not in text, "a booster is no text")
    text = _harmless(text)
    try:
        check_text(text)
    except Refusal as error:
        raise Damaged(error.message) from error
    check_lightgbm(text)
    made = imported("lightgbm.basic.Booster")(model_str=text)
    best = state.get("best_iteration")
    expect(type(best) is int, "a booster has no best iteration")
    made.best_iteration = best
    return made


def _harmless(text: str) -> str:
    """The text without what LightGBM trusts in it, and does not need.

    It aborts the process where the lengths of its trees are none, and leaves its memory on
    parameters of the training that it cannot read.
    """
    before, _, after = re.sub(r"\ntree_sizes=.*", "", text).partition("\nparameters:")
    return before + after.partition("\nend of parameters")[2]


def _catboost(name: str, args: tuple[Any, ...], state: Any) -> Any:
    """A model, of its bytes and plain parameters."""
    expect(not args and type(state) is dict, "a CatBoost has no state")
    content = state.get("__model")
    expect(content is None or type(content) is bytes, "a CatBoost is no bytes")
    plain = {
        key: value
        for key, value in state.items()
        if type(key) is str and not key.startswith("_") and type(value) in PLAIN
    }
    made = imported(name)(**{})
    made.__setstate__(plain if content is None else {"__model": content, **plain})
    return made


for _short in CATBOOST:
    _name = f"catboost.core.{_short}"
    MAKERS[_name] = Maker(_name, finish=partial(_catboost, _name))

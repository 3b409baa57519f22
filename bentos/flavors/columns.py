"""Which columns a model carries, whatever library it is of."""

from bentos.flavors import booster_columns, scikit_columns
from bentos.flavors.carried import Carried


def carried(model: object) -> Carried | None:
    """The columns that a model carries, or None where it tells of none."""
    match type(model).__module__.partition(".")[0]:
        case "xgboost":
            return booster_columns.xgboost(model)
        case "lightgbm":
            return booster_columns.lightgbm(model)
        case "catboost":
            return booster_columns.catboost(model)
    return scikit_columns.scikit(model)

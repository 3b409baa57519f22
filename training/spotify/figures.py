"""Pictures of a training run."""

from matplotlib.figure import Figure

from training.spotify.recipe import Result


def importances(result: Result) -> Figure:
    """Draw how much each feature moves the model's answer, in percent of all."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    ranked = sorted(result.importances.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ranked], [share for _, share in ranked])
    axes.set_xlabel("importance (CatBoost's PredictionValuesChange), %")
    return figure


def learning_curve(result: Result) -> Figure:
    """Draw the RMSE after each tree, and where training stopped."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(result.learning, label="learning part")
    axes.plot(result.validation, label="validation part")
    axes.axvline(result.model.tree_count_ - 1, color="black", label="trees kept")
    axes.set_xlabel("tree")
    axes.set_ylabel("RMSE, points of popularity")
    axes.legend(loc="upper right")
    return figure

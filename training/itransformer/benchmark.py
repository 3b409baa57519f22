"""The paper's own experiments, as its table has them; and the same on other files."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import torch

from training.data import read_dataset
from training.errors import InputError
from training.itransformer import figures
from training.itransformer.calibration import Held, calibrate, coverage, coverage_of_late
from training.itransformer.frames import Series, from_dataset
from training.itransformer.model import ITransformer
from training.itransformer.recipe import Epoch, Errors, evaluate, fit, naive
from training.itransformer.settings import Recipe
from training.itransformer.windows import ETT_ROWS, Split, split

HORIZONS = (96, 192, 336, 720)
# By data set and horizon, from the full results in the appendix of Liu et al., 2024.
PAPER: Mapping[str, tuple[Errors, ...]] = {
    "ETTh1": (Errors(.386, .405), Errors(.441, .436), Errors(.487, .458), Errors(.503, .491)),
    "ETTh2": (Errors(.297, .349), Errors(.380, .400), Errors(.428, .432), Errors(.427, .445)),
    "ETTm1": (Errors(.334, .368), Errors(.377, .391), Errors(.426, .420), Errors(.491, .459)),
    "ETTm2": (Errors(.180, .264), Errors(.250, .309), Errors(.311, .348), Errors(.412, .407)),
}  # fmt: skip
# Of the network, by horizon, in the paper's own runs: https://github.com/thuml/iTransformer
WIDTHS: Mapping[str, tuple[int, ...]] = {"ETTh1": (256, 256, 512, 512)}
USUAL_WIDTH = 128
TRAIN, TEST = 0.7, 0.2  # of the rows of a file that has no split of its own


def run(data: str, pred_len: int, seed: int, threads: int, picture: Path | None = None) -> str:
    """Train and test on the file; give the table's row, and how the bands hold, as tables."""
    torch.set_num_threads(threads)
    name = data_set(data)
    recipe = paper_recipe(pred_len, seed, name)
    parts = usual_split(data, recipe)
    torch.manual_seed(seed)
    network = ITransformer(recipe.architecture())
    epochs = fit(network, parts.train, parts.validation, recipe, Epoch.announce)
    reached, repeated = evaluate(network, parts.test), naive(parts.test)
    bands = calibrate(network, parts.validation, parts.scaler)
    brings = {
        "what it must": coverage(bands, network, parts.test),
        "earlier rows, too": coverage_of_late(bands, network, parts),
    }
    if picture:
        figures.coverage(brings).savefig(picture, dpi=100)
    return f"{row(name, recipe, epochs, reached, repeated)}\n\n{kept(brings)}"


def data_set(data: str) -> str:
    """Tell by a file's name which of the paper's data sets it is; empty when it is none."""
    stem = PurePosixPath(data).stem.lower()
    return next((name for name in PAPER if name.lower() == stem), "")


def paper_recipe(pred_len: int, seed: int, name: str = "ETTh1") -> Recipe:
    """The paper's settings for a data set."""
    width = dict(zip(HORIZONS, WIDTHS.get(name, ()), strict=False)).get(pred_len, USUAL_WIDTH)
    return Recipe(pred_len=pred_len, d_model=width, d_ff=width, seed=seed)


def usual_split(data: str, recipe: Recipe) -> Split:
    """Split a file as all papers do: ETT's by months, others by shares."""
    series = from_dataset(read_dataset(data))
    return split(series, recipe, rows_of(data_set(data), series, recipe))


def rows_of(name: str, series: Series, recipe: Recipe) -> tuple[int, int, int]:
    """Rows to train on, to validate and to test.

    Raises `InputError` when a part has no window, or the file is not whole.
    """
    if name:
        hourly = name.startswith("ETTh")
        rows = ETT_ROWS if hourly else (ETT_ROWS[0] * 4, ETT_ROWS[1] * 4, ETT_ROWS[2] * 4)
        if len(series) < sum(rows) or series.step != ("h" if hourly else "15min"):
            every = "hour" if hourly else "15 minutes"
            raise InputError(
                f"{series.source} is no whole {name}: it needs {sum(rows)} rows, one every "
                f"{every}; this has {len(series)}, one every {series.step}. Give the file another "
                "name to split it 7:1:2."
            )
        return rows
    train, test = int(len(series) * TRAIN), int(len(series) * TEST)
    rows = (train, len(series) - train - test, test)
    if train < recipe.seq_len + recipe.pred_len or min(rows) < recipe.pred_len:
        raise InputError(
            f"{series.source} has {len(series)} rows: too few for windows of {recipe.seq_len} and "
            f"{recipe.pred_len} in parts of 7:1:2."
        )
    return rows


def row(name: str, recipe: Recipe, epochs: list[Epoch], reached: Errors, repeated: Errors) -> str:
    """Put the errors beside the paper's, where it has some, as a Markdown table."""
    paper = PAPER[name][HORIZONS.index(recipe.pred_len)] if name else ()
    seconds = sum(epoch.seconds for epoch in epochs) / len(epochs)
    head = ["horizon", "seed", "MSE", "MAE", *(["paper's MSE", "MAE"] if paper else [])]
    head += ["last value's MSE", "MAE", "seconds an epoch", "epochs"]
    cells = [str(recipe.pred_len), str(recipe.seed)]
    cells += [f"{value:.3f}" for value in (*reached, *paper, *repeated)]
    cells += [f"{seconds:.1f}", str(len(epochs))]
    return f"| {' | '.join(head)} |\n|{'--:|' * len(cells)}\n| {' | '.join(cells)} |"


def kept(brings: Mapping[str, Sequence[Held]]) -> str:
    """Which share of the true values lies within the bands, and how wide they are, as a table.

    A row for each thing that a call may bring.
    """
    levels = [held.level for held in next(iter(brings.values()))]
    head = ["a call brings", *(f"within {level:.0%} | width" for level in levels)]
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|--:|' * len(levels)}"]
    for what, found in brings.items():
        cells = [f"{held.covered:.1%} | {held.width:.2f}" for held in found]
        lines.append(f"| {' | '.join([what, *cells])} |")
    return "\n".join(lines)

"""The paper's own experiment on ETTh1, as its table has it."""

import torch

from training.data import read_dataset
from training.itransformer.frames import from_dataset
from training.itransformer.model import ITransformer
from training.itransformer.recipe import Epoch, Errors, evaluate, fit, naive
from training.itransformer.settings import Recipe
from training.itransformer.windows import ETT_ROWS, Split, split

# ETTh1 by horizon, from the full results in the appendix of Liu et al., 2024.
PAPER = {
    96: Errors(0.386, 0.405),
    192: Errors(0.441, 0.436),
    336: Errors(0.487, 0.458),
    720: Errors(0.503, 0.491),
}
WIDTHS = {96: 256, 192: 256, 336: 512, 720: 512}


def run(data: str, pred_len: int, seed: int, threads: int) -> str:
    """Train and test on the file; give the table's row, with its head."""
    torch.set_num_threads(threads)
    recipe = paper_recipe(pred_len, seed)
    parts = ett_split(data, recipe)
    torch.manual_seed(seed)
    network = ITransformer(recipe.architecture())
    epochs = fit(network, parts.train, parts.validation, recipe, Epoch.announce)
    return row(recipe, epochs, evaluate(network, parts.test), naive(parts.test))


def paper_recipe(pred_len: int, seed: int) -> Recipe:
    """The paper's settings for ETTh1."""
    width = WIDTHS[pred_len]
    return Recipe(pred_len=pred_len, d_model=width, d_ff=width, seed=seed)


def ett_split(data: str, recipe: Recipe) -> Split:
    """Split an hourly ETT file as all papers do."""
    return split(from_dataset(read_dataset(data)), recipe, ETT_ROWS)


def row(recipe: Recipe, epochs: list[Epoch], reached: Errors, repeated: Errors) -> str:
    """Put the errors beside the paper's, as a Markdown table."""
    paper = PAPER[recipe.pred_len]
    seconds = sum(epoch.seconds for epoch in epochs) / len(epochs)
    head = ["horizon", "seed", "MSE", "MAE", "paper's MSE", "MAE", "last value's MSE", "MAE"]
    head += ["seconds an epoch", "epochs"]
    cells = [str(recipe.pred_len), str(recipe.seed)]
    cells += [f"{value:.3f}" for value in (*reached, *paper, *repeated)]
    cells += [f"{seconds:.1f}", str(len(epochs))]
    return f"| {' | '.join(head)} |\n|{'--:|' * len(cells)}\n| {' | '.join(cells)} |"

"""`python -m training.itransformer`: train, and register a new version of itransformer-<name>.

Without a command it trains: `python -m training.itransformer --promote` makes the demo.
"""

import signal
from pathlib import Path
from threading import Event

import click

from training import cli, settings
from training.errors import InputError
from training.itransformer.settings import Settings

DEMO = "demo"
FAMILY = "itransformer"


class Commands(click.Group):
    """A group whose command is `train` unless the first word is another's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `train` before what names no command."""
        if not args or args[0] not in {*self.commands, "--help"}:
            args = ["train", *args]
        return super().parse_args(ctx, args)


@click.group(help=__doc__, cls=Commands)
def main() -> None:
    """Run from the command line."""
    cli.tell_terminal()


data_option = click.option(
    "--data", help="CSV or parquet with a column `date`: a path or s3://bucket/key."
)


@main.command()
@data_option
@click.option("--name", help=f"What the model is called; of made series: {DEMO}.")
@cli.promote_option
@cli.config_option
def train(data: str | None, name: str | None, promote: bool, config: Path) -> None:
    """Train a new network; without data on synthetic series."""
    if data and not name:
        raise InputError("Give --name with --data.")
    from training import tracking  # MLflow and torch take seconds; not all commands need them
    from training.itransformer.train import launch

    version = launch(name or DEMO, data, settings.read_settings(FAMILY, Settings, config))
    if promote:
        tracking.promote(version)


@main.command()
@click.option("--name", required=True, help="The model to go on from.")
@click.option("--data", required=True, help="Rows of the same columns: a path or s3://bucket/key.")
@cli.promote_option
@cli.config_option
def fine_tune(name: str, data: str, promote: bool, config: Path) -> None:
    """Train a model a little further, as its new version."""
    from training import tracking
    from training.itransformer.train import launch_fine_tuning

    version = launch_fine_tuning(name, data, settings.read_settings(FAMILY, Settings, config))
    if promote:
        tracking.promote(version)


@main.command()
@click.option(
    "--data", required=True, help="ETTh1.csv, or another file: a path or s3://bucket/key."
)
@click.option("--pred-len", type=click.Choice(["96", "192", "336", "720"]), default="96")
@click.option("--seed", type=click.IntRange(min=0), default=2023, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Draw how the bands hold: a .png."
)
def benchmark(data: str, pred_len: str, seed: int, threads: int, picture: Path | None) -> None:
    """Train as the paper does, and print its table's row, and how the bands hold."""
    from training.itransformer.benchmark import run

    click.echo(run(data, int(pred_len), seed, threads, picture))


@main.command()
@click.argument("run_id")
@cli.config_option
def work(run_id: str, config: Path) -> None:
    """Carry out the job that the run RUN_ID describes. SIGTERM cancels it."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())  # before torch's seconds
    from training.itransformer.jobs import work as carry_out
    from training.itransformer.recipe import Cancelled

    try:
        carry_out(run_id, settings.read_settings(FAMILY, Settings, config), stop.is_set)
    except Cancelled:
        raise SystemExit(128 + signal.SIGTERM) from None


if __name__ == "__main__":
    main(prog_name="python -m training.itransformer")

"""`python -m training.contugas`: train, and register a new version of contugas-anomaly."""

import logging
from pathlib import Path

import click

from training import settings, tracking
from training.contugas.settings import Settings
from training.contugas.train import launch


@click.command(help=__doc__)
@click.option("--data", help="CSV or parquet: a path or s3://bucket/key. Without: synthetic data.")
@click.option("--promote", is_flag=True, help="Move the new version to Production at once.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=settings.PATH,
    show_default=True,
    help="Settings of the training runs.",
)
def main(data: str | None, promote: bool, config: Path) -> None:
    """Run from the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("training").setLevel(logging.INFO)
    version = launch(data, settings.read_settings("contugas", Settings, config))
    if promote:
        tracking.promote(version)


if __name__ == "__main__":
    main(prog_name="python -m training.contugas")

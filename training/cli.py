"""The command line that every trainer has."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from training import settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

S = TypeVar("S")

promote_option = click.option(
    "--promote", is_flag=True, help="Let the services follow the new version at once."
)
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=settings.PATH,
    show_default=True,
    help="Settings of the training runs.",
)


def trainer(
    family: str,
    kind: type[S],
    launch: Callable[[str | None, S], "ModelVersion"],
    help_text: str | None,
) -> click.Command:
    """Make the command `python -m training.<family>`.

    `launch` trains on a path or URL, or on made data without one, with the family's settings
    of the given kind; `help_text` is the help text.
    """

    @click.command(help=help_text)
    @click.option(
        "--data", help="CSV or parquet: a path or s3://bucket/key. Without: synthetic data."
    )
    @promote_option
    @config_option
    def main(data: str | None, promote: bool, config: Path) -> None:
        tell_terminal()
        version = launch(data, settings.read_settings(family, kind, config))
        if promote:
            from training import tracking  # MLflow takes seconds; not all commands need it

            tracking.promote(version)

    return main


def tell_terminal() -> None:
    """Show what the training logs, and of all else only warnings."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("training").setLevel(logging.INFO)

"""`python -m training.keras_api`: train the example, and register a version of keras-default.

`python -m training.keras_api import FILE --id ID` registers a model that was fitted elsewhere.
"""

from pathlib import Path

import click
import msgspec

from training import cli, settings, tracking
from training.keras_api.files import read_model, read_scaler_file
from training.keras_api.registration import guardar_modelo
from training.keras_api.settings import BATCH, EPOCHS, Settings
from training.keras_api.train import launch


@click.group(help=__doc__, invoke_without_command=True)
@click.option("--data", help="CSV or parquet of x0 to x9 and y. Without: synthetic data.")
@click.option("--epochs", type=click.IntRange(*EPOCHS), help="Instead of the configured number.")
@click.option("--batch", type=click.IntRange(*BATCH), help="Rows a step, likewise.")
@cli.promote_option
@cli.config_option
@click.pass_context
def main(
    context: click.Context,
    data: str | None,
    epochs: int | None,
    batch: int | None,
    promote: bool,
    config: Path,
) -> None:
    """Run from the command line."""
    cli.tell_terminal()
    if context.invoked_subcommand:
        return
    given = {k: v for k, v in {"epochs": epochs, "batch": batch}.items() if v is not None}
    configured = settings.read_settings("keras_api", Settings, config)
    version = launch(data, msgspec.structs.replace(configured, **given))
    if promote:
        tracking.promote(version)


@main.command("import", short_help="Register a .keras file and its scalers.")
@click.argument("file")
@click.option("--id", "model_id", required=True, help="It becomes a version of keras-<id>.")
@click.option("--scaler-x", help="Scaler of the inputs: .skops, or .json of mean and scale.")
@click.option("--scaler-y", help="Scaler of the outputs, likewise.")
@cli.promote_option
def import_file(
    file: str, model_id: str, scaler_x: str | None, scaler_y: str | None, promote: bool
) -> None:
    """Register a .keras file and its scalers, each a path or s3://bucket/key.

    The model may have been fitted under TensorFlow, JAX or torch.
    """
    model = read_model(file)
    version = guardar_modelo(
        model_id, model, read_scaler_file(scaler_x), read_scaler_file(scaler_y)
    )
    if promote:
        tracking.promote(version)


if __name__ == "__main__":
    main(prog_name="python -m training.keras_api")

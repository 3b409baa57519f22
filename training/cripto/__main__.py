"""`python -m training.cripto`: train, and register new versions of the five cripto models.

`python -m training.cripto ingest FILE...` puts daily prices into the S3 store.
"""

from pathlib import Path

import click

from training import cli, settings
from training.cripto import names, store
from training.cripto.settings import Settings
from training.cripto.synthetic import synthetic
from training.errors import InputError


@click.group(help=__doc__, invoke_without_command=True)
@click.option(
    "--data",
    multiple=True,
    help="CSV or parquet: a path or s3://bucket/key; s3://bucket/prefix/ for all that was "
    "ingested there. May be given again. Without: synthetic coins.",
)
@cli.promote_option
@cli.config_option
@click.pass_context
def main(context: click.Context, data: tuple[str, ...], promote: bool, config: Path) -> None:
    """Run from the command line."""
    cli.tell_terminal()
    if context.invoked_subcommand:
        return
    from training import tracking  # MLflow and scikit-learn take seconds, which ingest can spare
    from training.cripto.train import launch

    versions = launch(data, settings.read_settings("cripto", Settings, config))
    if promote:
        for version in versions:
            tracking.promote(version)


@main.command(short_help="Put daily prices into the S3 store.")
@click.argument("files", nargs=-1)
@click.option("--to", default=names.root, help="s3://bucket/prefix; ASCENSO_DATA by default.")
@click.option("--replace", is_flag=True, help="Let a file's row replace a stored one.")
@click.option("--synthetic", "made", is_flag=True, help="The made coins, until real rows come.")
@cli.config_option
def ingest(files: tuple[str, ...], to: str, replace: bool, made: bool, config: Path) -> None:
    """Put daily prices into the S3 store, as {symbol}/daily.csv.

    FILES are CSV or parquet, paths or s3://bucket/key. Days that the store has stay as they are,
    so the same file twice changes nothing.
    """
    if bool(files) == made:
        raise InputError("Give files, or --synthetic.")
    target = store.open_store(to)
    if files:
        return store.ingest(files, target, replace)
    made_coins = synthetic(settings.read_settings("cripto", Settings, config).synthetic)
    changes = target.ingest(made_coins, replace=True, name=names.SYNTHETIC)
    return store.tell(target, changes, replace=True)


if __name__ == "__main__":
    main(prog_name="python -m training.cripto")

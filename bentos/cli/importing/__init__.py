"""`ascenso import`: a version made of the files that somebody has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bentos.cli.console import Tell, json_option, outcome, progress, say
from bentos.cli.errors import EXIT_CODES, Failed, Unreachable, serving_like
from bentos.cli.promotion import registry_address, registry_option
from bentos.refusal import Refusal
from bentos.registry.sources import FileMissing, StoreUnavailable

if TYPE_CHECKING:
    from bentos.cli.importing.brought import Brought
    from bentos.cli.importing.items import Item
    from training.data import Dataset


@click.command("import", epilog=EXIT_CODES)
@click.argument("source")
@click.option("--as", "name", required=True, metavar="MODEL", help="The registered model.")
@click.option(
    "--input", "table", required=True, help="Rows to try it on: a .csv or .parquet, path or s3://"
)
@click.option(
    "--columns",
    default="",
    help="What a model without names takes, in order: a,b,c  [default: all]",
)
@click.option("--dry-run", is_flag=True, help="Do everything but register it.")
@json_option
@registry_option
def import_(
    source: str,
    name: str,
    table: str,
    columns: str,
    dry_run: bool,
    registry_uri: str | None,
) -> None:
    """Make a version of the files at SOURCE: a file, a folder, or s3://bucket/prefix.

    They are read as data, nothing of them runs: .joblib, .pkl and .skops of scikit-learn, XGBoost
    and LightGBM, .cbm, .keras, .h5, .onnx, itransformer's .pth with its scaler, and contugas'
    folder of bundles. The rows give its signature and its samples. It is not promoted.
    """
    with _errors(), progress() as tell:
        from bentos.cli.importing.items import gathered
        from bentos.cli.importing.registering import register, tried
        from training.data import read_dataset

        dataset = read_dataset(table)
        with gathered(source) as (folder, files):
            items = list(_items(folder, files, tell))
            brought = _one(name, folder, items, dataset, [c for c in columns.split(",") if c])
            if text := brought.text(dataset):
                dataset = read_dataset(table, text=text)
            tell("trying it on rows")
            found = tried(name, brought, dataset)
            version = ""
            if not dry_run:
                tell(f"registering {name}")
                address = registry_address(registry_uri)
                version = register(name, source, brought, dataset, found, address)
    say(f"{brought.what}: {found.rows} rows answered, {len(found.samples.inputs)} kept as samples")
    say(_said(name, version))
    files_found = [{"file": i.file, "holds": i.what, "written_by": i.written} for i in items]
    model = {"is": brought.what, "rows": found.rows, "model": name, "version": version or None}
    outcome({"found": files_found} | model)


def _said(name: str, version: str) -> str:
    if not version:
        return f"{name} was not registered: --dry-run"
    return f"Registered {name} version {version}; promote it: ascenso promote {name} {version}"


def _items(folder: Path, files: Sequence[str], tell: Tell) -> Iterator["Item"]:
    """What is in the files of known kinds, said one by one. Raises Failed, naming the file."""
    from bentos.cli.importing.items import read
    from bentos.flavors.reading import Unreadable

    for file in files:
        tell(f"reading {file}")
        try:
            item = read(folder, file)
        except (Unreadable, Refusal, OSError, ValueError) as error:
            raise Failed(f"{file}: {error}") from error
        if item is None:
            say(f"{file}: left out")
            continue
        written = f", written by {', '.join(item.written)}" if item.written else ""
        say(f"{file}: {item.what}{written}")
        if item.foreign:
            say(f"{file}: another release reads it here: compare its answers with earlier ones")
        yield item


def _one(
    name: str,
    folder: Path,
    items: Sequence["Item"],
    dataset: "Dataset",
    columns: Sequence[str],
) -> "Brought":
    """The one model that the items are. Raises Failed."""
    from bentos.cli.importing import contugas, estimators, forecasters, networks

    made = contugas.found(items) or forecasters.found(name, folder, items, dataset, columns)
    if made:
        return made
    if len(items) != 1:
        held = ", ".join(item.file for item in items[:5]) or "nothing that is known"
        raise Failed(f"There must be one model, and there is {held}: name one file")
    (item,) = items
    if item.kind in ("keras", "onnx"):
        return networks.found(item, columns)
    return estimators.found(item, columns)


@contextmanager
def _errors() -> Iterator[None]:
    """What goes wrong, as errors of a command."""
    with serving_like("train"):
        from training.errors import RegistryError, TrainingError

        try:
            yield
        except (RegistryError, StoreUnavailable) as error:
            raise Unreachable(str(error)) from error
        except FileMissing as error:
            raise Failed(f"There is no file {error}") from error
        except TrainingError as error:
            raise Failed(str(error)) from error

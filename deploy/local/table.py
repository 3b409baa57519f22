"""Where everything is."""

from collections.abc import Sequence

from rich.table import Table

from deploy.local.families import Family
from deploy.local.settings import BUCKET, Settings
from deploy.local.user import LOCAL, PASSWORD


def addresses(settings: Settings, families: Sequence[Family]) -> Table:
    """The table that a start ends with."""
    table = Table(show_header=False, title="Ascenso is up", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("any model", f"{settings.api}/models")
    table.add_row("  gRPC", settings.grpc)
    for family in families:
        table.add_row(family.name, f"{settings.api}/{family.name}")
        table.add_row("  docs", f"{settings.api}/{family.name}/docs")
    table.add_row("MLflow", settings.mlflow)
    table.add_row("S3", f"{settings.s3} (bucket {BUCKET}, keys in secrets.env)")
    table.add_row("User", f"{LOCAL} (the password is {PASSWORD} in secrets.env)")
    table.add_row("State", str(settings.home))
    table.add_row("Logs", str(settings.logs))
    table.add_row("Stop", "Ctrl-C")
    return table

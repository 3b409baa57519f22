"""`ascenso`: what serves, promotions that wait, what served when, whole tables, who may call."""

import click

from bentos.cli.history import history
from bentos.cli.promotion import promote
from bentos.cli.rollback import rollback
from bentos.cli.score import score
from bentos.cli.status import status
from bentos.cli.user import user
from bentos.cli.webhook import webhook


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ascenso")
def main() -> None:
    """See and steer what the services of Ascenso serve.

    Exit codes: 1 when it was refused or cannot be done, 2 when a server cannot be reached.
    """


for command in (status, promote, rollback, history, score, webhook, user):
    main.add_command(command)

"""`ascenso`: what serves, promotions that wait, what served when, whole tables, who may call."""

import click

from bentos.cli.admit import admit
from bentos.cli.doctor import doctor
from bentos.cli.errors import EXIT_CODES
from bentos.cli.history import history
from bentos.cli.importing import import_
from bentos.cli.label import label
from bentos.cli.promotion import promote
from bentos.cli.relay import relay
from bentos.cli.replay import replay
from bentos.cli.rollback import rollback
from bentos.cli.score import score
from bentos.cli.status import status
from bentos.cli.user import user
from bentos.cli.webhook import webhook


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ascenso")
def main() -> None:
    """See and steer what the services of Ascenso serve.

    Completion in your shell: eval "$(_ASCENSO_COMPLETE=bash_source ascenso)", or zsh_source, or
    fish_source.
    """


for command in (
    status,
    promote,
    rollback,
    history,
    admit,
    score,
    replay,
    label,
    webhook,
    relay,
    user,
    import_,
    doctor,
):
    main.add_command(command)

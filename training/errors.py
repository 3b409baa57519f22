"""What can go wrong in a training run, in one line: click shows these without a trace."""

import click


class TrainingError(click.ClickException):
    """A training run cannot go on; the message says why and what to do."""

    exit_code = 1


class InputError(TrainingError):
    """Data, settings or options are not usable."""

    exit_code = 2


class RegistryError(TrainingError):
    """The MLflow server does not answer, or refuses."""

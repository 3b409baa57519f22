"""What clients bring: trainings to run, models to read."""

from pydantic import PositiveFloat, PositiveInt

from bentos.settings.section import Section


class JobSettings(Section):
    """Trainings that clients ask for: how many at once, how many may wait."""

    at_once: PositiveInt = 1
    queued: PositiveInt = 20
    poll_seconds: PositiveFloat = 1.0
    grace_seconds: PositiveFloat = 10.0
    body_bytes: PositiveInt = 64 * 1024**2


class UploadSettings(Section):
    """Models that clients bring along: how large, and what reading one may take."""

    body_bytes: PositiveInt = 256 * 1024**2
    unpacked_bytes: PositiveInt = 512 * 1024**2
    seconds: PositiveFloat = 120.0
    memory_bytes: PositiveInt = 4 * 1024**3

"""What is kept of the calls, and where."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator

from bentos.settings.section import Section

KEY_BYTES = 16  # the shortest key


class RecordSettings(Section):
    """What is kept of the calls to a model: a share of them, 0 to 1.

    Of the columns that are named, those of `hash` are kept as keyed digests, of `omit` not at all.
    """

    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    hash: list[str] = []
    omit: list[str] = []


class RecordingSettings(Section):
    """Where recorded calls go, and how much may wait in memory and on disk until they do."""

    uri: str = ""
    models: dict[str, RecordSettings] = {"default": RecordSettings()}
    key: SecretStr = SecretStr("")
    key_file: Path | None = None
    flush_seconds: PositiveFloat = 60.0
    buffer_mb: PositiveInt = 64
    disk_mb: PositiveInt = 512
    keep_days: PositiveInt | None = None

    @field_validator("uri")
    @classmethod
    def _a_place(cls, uri: str) -> str:
        if "://" in uri and not (uri.startswith("s3://") and uri[5:].strip("/")):
            raise ValueError("give s3://bucket/prefix, or a folder")
        return uri.rstrip("/")

    def check(self) -> None:
        """Raise ValueError where what is to be recorded has no place, or no key."""
        for name, record in self.models.items():
            if record.share and not self.uri:
                raise ValueError(
                    f"recording.models.{name}.share is {record.share}, but recording.uri says no "
                    "place: give s3://bucket/recordings"
                )
            if record.hash and not self.secret():
                raise ValueError(
                    f"recording.models.{name}.hash wants a key: ASCENSO_RECORDING__KEY, or "
                    "recording.key_file"
                )

    def secret(self) -> bytes:
        """The key of hashed columns, or nothing. Raises ValueError where its file is of no use."""
        found, where = self.key.get_secret_value().encode(), "recording.key"
        if self.key_file:
            where = "recording.key_file"
            try:
                found = self.key_file.read_bytes().strip()
            except OSError as error:
                raise ValueError(f"{where} cannot be read: {error}") from None
        if len(found) < KEY_BYTES and (found or self.key_file):
            raise ValueError(f"{where} has less than {KEY_BYTES} bytes")
        return found

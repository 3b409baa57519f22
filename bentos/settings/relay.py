"""One process a cluster that asks MLflow for all replicas."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from bentos.settings.section import Section


class RelaySettings(Section):
    """Where the relay listens, how often it looks, what it keeps."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5001
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    permit_seconds: NonNegativeFloat = 30.0
    cache_bytes: PositiveInt = 10 * 2**30

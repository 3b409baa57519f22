"""A section of the configuration."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One subject of the configuration: no key beyond its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

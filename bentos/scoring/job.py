"""One table scored by one version: what was agreed at its start, which stays in the output."""

import msgspec

from bentos.registry.client import Version
from bentos.scoring.tables import Folder, Unfit

NOTE = "_ascenso.json"


class Job(msgspec.Struct, frozen=True):
    """What may not change from the first run to the last."""

    model: str
    version: str
    creation_timestamp: int  # of the version, in ms: a model made anew counts from 1 again
    digest: str
    input: str
    keep: tuple[str, ...] = ()

    @classmethod
    def of(cls, version: Version, source: str, keep: tuple[str, ...]) -> "Job":
        """The job of a version."""
        created = version.creation_timestamp
        return cls(version.name, version.version, created, version.digest, source, keep)


def noted(output: Folder) -> Job | None:
    """The job that began this output, or None. Raises Unfit for what is no note of a job."""
    content = output.read(NOTE)
    try:
        return msgspec.json.decode(content, type=Job) if content is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unfit(f"{NOTE} in {output.uri} cannot be read: {error}") from error


def agree(output: Folder, job: Job) -> None:
    """Note a job in its output, or find it there. Raises Unfit for an output of another one."""
    before = noted(output)
    if before is None:
        if found := output.parts():
            raise Unfit(
                f"{output.uri} holds {found[0]}, which no scoring wrote: give an empty folder"
            )
        with output.writing(NOTE) as file:
            file.write(msgspec.json.format(msgspec.json.encode(job)))
        return
    for field in Job.__struct_fields__:
        then, now = getattr(before, field), getattr(job, field)
        if then != now:
            raise Unfit(
                f"{output.uri} was begun with {field} {then!r}, not {now!r}: go on with that, or "
                "give an empty folder"
            )


def result(part: str) -> str:
    """The name of the scored form of a part: one for one."""
    return part if part.endswith(".parquet") else f"{part}.parquet"

"""The registered forecasters: which there are, what they weigh, and their end."""

import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from bentos.admission.cache import Artifacts
from bentos.itransformer.uploads import passing
from bentos.promotion.channel import resolve
from bentos.registry.client import Model, NotInRegistry, Version
from bentos.registry.runs import Runs
from bentos.registry.sources import open_source
from bentos.settings import Settings
from training.itransformer.names import PREFIX, registered_name

LOGGED_MODEL = re.compile(r"/models/(m-[0-9a-f]+)/artifacts")


class Listed(msgspec.Struct, frozen=True):
    """A model as `/list_models` tells it: its promoted version, or else its newest."""

    model_name: str
    last_modified: str
    size_kb: float
    version: str
    stage: str


class Catalog:
    """Raises RegistryUnavailable, NotInRegistry for an unknown model, StoreUnavailable."""

    def __init__(self, runs: Runs, settings: Settings) -> None:
        self.runs = runs
        self.artifacts = Artifacts(settings.home / "cache", settings.cache)
        self._settings = settings
        self._sizes: dict[tuple[str, str, int], int] = {}  # a version's files never change

    def names(self) -> list[str]:
        """Every model, promoted or not."""
        return sorted(n.removeprefix(PREFIX) for n in self.runs.models() if n.startswith(PREFIX))

    def listed(self) -> list[Listed]:
        """Every model that has a version."""
        listed: list[Listed] = []
        for name, model in sorted(self.runs.models().items()):
            chosen = self._chosen(model) if name.startswith(PREFIX) else None
            with suppress(NotInRegistry):  # it was deleted meanwhile
                listed += [self._listed(chosen)] if chosen else []
        return listed

    def holds(self, name: str) -> bool:
        """Whether there is such a model."""
        return registered_name(name) in self.runs.models()

    def delete(self, name: str) -> list[str]:
        """Remove a model, its versions and their files; give the files' names.

        What breaks off can be asked for again.
        """
        registered = registered_name(name)
        if registered not in self.runs.models():
            raise NotInRegistry(f"There is no model {name!r}")
        deleted = [
            file for version in self.runs.versions(registered) for file in self._end(version)
        ]
        self.runs.delete_model(registered)
        self.artifacts.forget(registered)
        return sorted(deleted)

    def pack(self, name: str, home: Path) -> tuple[IO[bytes], int]:
        """The zip of a model, open and without a name on disk, and its bytes."""
        from bentos.itransformer import bundles  # which brings torch
        from training.itransformer import forecaster

        with passing(home) as folder:
            version = self.fetch(name, folder)
            path = folder / "complete.zip"
            bundles.write(forecaster.read(version), name, path)
            return path.open("rb"), path.stat().st_size

    def fetch(self, name: str, folder: Path) -> Path:
        """Copy the files of the version that `listed` tells into a folder."""
        registered = registered_name(name)
        model = self.runs.models().get(registered)
        version = self._chosen(model) if model else None
        if version is None:
            raise NotInRegistry(f"There is no model {name!r}")
        uri = self.runs.artifact_uri(version)
        source = open_source(self.runs, self._settings.registry, uri)
        kept = self.artifacts.folder(version)
        if kept.is_dir():
            return Path(shutil.copytree(kept, folder / "version"))
        for file in source.names():
            path = folder / "version" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                out.writelines(source.chunks(file))
        return folder / "version"

    def clear(self) -> None:
        """Remove every model."""
        for name in self.names():
            with suppress(NotInRegistry):  # somebody else removed it meanwhile
                self.delete(name)

    def _chosen(self, model: Model) -> Version | None:
        versions = {version.version: version for version in self.runs.versions(model.name)}
        channel = self._settings.channel(model.name)
        promoted = resolve(model, channel, lambda: list(versions.values())).target
        newest = max(versions.values(), key=lambda version: version.number, default=None)
        return versions.get(promoted or "", newest)

    def _listed(self, version: Version) -> Listed:
        changed = datetime.fromtimestamp(version.last_updated_timestamp / 1000, UTC)
        return Listed(
            model_name=version.name.removeprefix(PREFIX),
            last_modified=changed.isoformat(timespec="seconds"),
            size_kb=round(self._size(version) / 1024, 1),
            version=version.version,
            stage=version.stage,
        )

    def _size(self, version: Version) -> int:
        key = (version.name, version.version, version.creation_timestamp)
        if key not in self._sizes:
            sizes = self.runs.sizes(self.runs.artifact_uri(version))
            self._sizes[key] = sum(sizes.values())
        return self._sizes[key]

    def _end(self, version: Version) -> list[str]:
        uri = self.runs.artifact_uri(version)
        files = self.runs.sizes(uri)
        self.runs.remove(uri)
        if logged := LOGGED_MODEL.search(uri):
            with suppress(NotInRegistry):
                self.runs.delete_logged_model(logged[1])
        return [f"{version.version}/{file}" for file in files]

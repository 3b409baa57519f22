"""Models as clients handle them: brought along, taken home, listed, deleted."""

from typing import TypeAlias

import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bentos.itransformer import calls, uploads
from bentos.itransformer.admin import AdminKey
from bentos.itransformer.catalog import Catalog
from bentos.itransformer.doors import ask, need_mlflow
from bentos.itransformer.messages import (
    DOWN,
    NO_MODEL,
    NOT_AUTHORIZED,
    Cleared,
    Deleted,
    Installed,
    Listing,
)
from bentos.serving.rack import Rack
from bentos.settings import Settings
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.endpoint import Answer, Endpoint
from bentos.web.errors import Failure, clip
from training.itransformer.frames import Series

Slots: TypeAlias = Rack[Series, NDArray[np.float64]]


class Models:
    """What is asked of the registered models."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._installing = CapacityLimiter(1)
        self._read_named = calls.Calls(calls.Named)

    def endpoints(self, key: AdminKey) -> list[Endpoint]:
        """Those for models, protected by a key."""
        return [
            key.protect("uploads", self._upload()),
            self._download(),
            Endpoint(
                "GET",
                "/list_models",
                self.list_models,
                "All models",
                {200: Answer("They", Listing), **DOWN},
            ),
            *self._deletions(key),
        ]

    def _upload(self) -> Endpoint:
        return Endpoint(
            "POST",
            "/upload_model",
            self.upload,
            "Bring a model along: a .zip with a .pth and a .pkl, as multipart",
            {
                200: Answer("It is a version now", Installed),
                400: Answer("Why not", Failure),
                **DOWN,
            },
            description="`curl -F file=@energia_v1.zip`. Further fields, none of which is needed: "
            "`model_name`, `promote`; and, for a bundle that /download_model did not make, "
            "`n_heads`, `step` and `columns`, with commas between.",
        )

    def _download(self) -> Endpoint:
        return Endpoint(
            "POST",
            "/download_model",
            self.download,
            "A model as a .zip, which /upload_model takes",
            {200: Answer("The file"), 400: Answer("No such name", Failure), **NO_MODEL, **DOWN},
            body=calls.Named,
            examples={"one": {"model_name": "energia_v1"}},
        )

    def _deletions(self, key: AdminKey) -> list[Endpoint]:
        refused = Answer("It wants another X-Admin-Key", Failure, Failure(NOT_AUTHORIZED))
        delete = Endpoint(
            "DELETE",
            "/delete_model/{model_name:path}",
            self.delete_model,
            "Delete a model and all its versions",
            {200: Answer("It is gone", Deleted), **NO_MODEL, **DOWN},
        )
        clear = Endpoint(
            "DELETE",
            "/clear_all_models",
            self.clear_all,
            "Delete all models",
            {200: Answer("They are gone", Cleared), 401: refused, **DOWN},
            description="It wants the header X-Admin-Key.",
        )
        return [key.protect("deletes", delete), key.protect("everything", clear)]

    async def upload(self, request: Request) -> Response:
        """`POST /upload_model`."""
        need_mlflow()
        limit = self._settings.uploads.body_bytes
        async with uploads.limited(request, limit).form(max_files=1) as form:
            name, file = uploads.zip_file(form)
            fields = uploads.fields(form)
            files = await run_sync(
                uploads.install, file, fields, self._settings, limiter=self._installing
            )
        return to_json(Installed.of(name, files))

    async def download(self, request: Request) -> Response:
        """`POST /download_model`."""
        limit = self._settings.limits.body_bytes
        call = self._read_named(await read(request.scope, request.receive, limit))
        name = calls.name(call)
        file, size = await ask(self._catalog.pack, name, self._settings.home)
        headers = {
            "content-disposition": f'attachment; filename="{name}_complete.zip"',
            "content-length": str(size),
        }
        zipped = uploads.chunks(file)
        return StreamingResponse(zipped, headers=headers, media_type="application/zip")

    async def list_models(self, request: Request) -> Response:
        """`GET /list_models`."""
        models = await ask(self._catalog.listed)
        return to_json(Listing(models, len(models)))

    async def delete_model(self, request: Request) -> Response:
        """`DELETE /delete_model/{model_name}`."""
        name = request.path_params["model_name"]
        calls.check_name(name)
        return to_json(Deleted.of(name, await ask(self._catalog.delete, name)))

    async def clear_all(self, request: Request) -> Response:
        """`DELETE /clear_all_models`."""
        await ask(self._catalog.clear)
        return to_json(Cleared())


def unknown(slots: Slots, name: str) -> str:
    """That no such model is promoted, and which are."""
    known = ", ".join(slots.name(slot) for slot in slots.slots if slot.live) or "none yet"
    return f"No model {name!r} is in production. Those that are: {clip(known)}"

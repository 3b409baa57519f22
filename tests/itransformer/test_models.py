"""Models go out and come in as zip files, are listed, and are deleted: all of them at the end."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.settings import AdminSettings, settings
from bentos.web.auth.tokens import Tokens
from bentos.web.auth.users import UserFile
from tests.itransformer import zips
from tests.itransformer.bench import KEY, Bench, bench, rows
from tests.itransformer.refusals import NOT_AUTHORIZED, detail
from tests.itransformer.zips import HOSTILE
from tests.stack import wait_for


def upload(bench: Bench, content: bytes, name: str = "plant.zip", **more: Any) -> httpx.Response:
    return bench.client.post("/upload_model", files={"file": (name, content)}, **more)


def test_a_download_forecasts_the_same_in_another_stack(
    here: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    answer = here.client.post("/download_model", json={"model_name": "plant"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="plant_complete.zip"'
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert sorted(names) == ["bands.safetensors", "config.json", "plant.pkl", "plant.pth"]
    usual = json.dumps(AdminSettings().protects)
    folder = tmp_path_factory.mktemp("there")
    with bench(folder, ASCENSO_ADMIN__PROTECTS=usual) as there:
        guarded = (
            upload(there, answer.content),
            there.post("/train", "x", rows(200)),
            there.post("/fine_tuning", "x", rows(200)),
            there.client.delete("/delete_model/plant"),
            there.client.delete(f"/jobs/{'0' * 32}"),
        )
        assert {detail(refused, 401) for refused in guarded} == {NOT_AUTHORIZED}
        there.client.headers["Authorization"] = f"Bearer {token(there, 'ana')}"
        assert detail(there.client.delete("/delete_model/plant"), 401) == NOT_AUTHORIZED
        there.client.headers["Authorization"] = f"Bearer {token(there, 'root', admin=True)}"
        assert detail(there.client.delete("/delete_model/plant"), 404)
        assert detail(there.client.delete("/clear_all_models"), 401) == NOT_AUTHORIZED
        del there.client.headers["Authorization"]
        there.client.headers["X-Admin-Key"] = KEY
        uploaded = upload(there, answer.content, "plant_complete.zip")
        assert uploaded.status_code == 200, uploaded.text
        assert uploaded.json() == {
            "status": "success",
            "message": "Modelo 'plant_complete.zip' instalado correctamente",
            "files": ["bands.safetensors", "config.json", "plant.pkl", "plant.pth"],
        }
        wait_for(lambda: there.serves("plant", "1"), 120)
        asked = [each.post("/predict", "plant", rows(60), interval=0.8) for each in (here, there)]
        one, other = (answer.json() for answer in asked)
        for part in ("forecast", "lower", "upper"):
            assert one[part] == other[part]
        assert left(there) == []


def token(bench: Bench, name: str, admin: bool = False) -> str:
    """The token of a new user, as another service of the stack would give it."""
    users = UserFile(bench.home / "users.json")
    users.add(name, "correct horse battery", admin=admin)
    mark = users.read()[name].mark
    return Tokens(settings().security).issue(name, mark, admin)


def left(bench: Bench) -> list[Path]:
    """What uploads and downloads left on disk."""
    return list((bench.home / "passing").iterdir())


def test_a_pair_of_the_original_is_installed(here: Bench) -> None:
    form = {"model_name": "imported", "columns": "OT,HU"}
    uploaded = upload(here, zips.original(), "modelo.zip", data=form)
    assert uploaded.status_code == 200, uploaded.text
    assert uploaded.json()["message"] == "Modelo 'modelo.zip' instalado correctamente"
    assert uploaded.json()["files"] == ["plant.pkl", "plant.pth"]
    wait_for(lambda: here.serves("imported", "1"), 120)
    said = detail(here.post("/predict", "imported", rows(30), interval=0.9))
    assert said == (
        "interval is 0.9: itransformer-imported/1 was registered without the errors of its "
        "training, which an interval is made of: train or fine-tune it again and promote the new "
        "version, or leave interval out"
    )


def test_a_form_may_come_as_gzip(here: Bench) -> None:
    form = here.client.build_request("POST", "/upload_model", files={"file": ("x.zip", b"none")})
    content, kind = gzip.compress(form.read()), form.headers["content-type"]
    for packing, status, said in [
        ("gzip", 400, "The zip is refused"),
        ("br", 415, "packed as br"),
    ]:
        headers = {"content-type": kind, "content-encoding": packing}
        answer = here.client.post("/upload_model", content=content, headers=headers)
        assert said in detail(answer, status)


def test_hostile_zips_leave_nothing(here: Bench) -> None:
    before = here.client.get("/list_models").json()
    for what in ("zip-slip", "symlink", "bomb", "nested bomb", "truncated"):
        make, reason = HOSTILE[what]
        assert reason in detail(upload(here, make())), what
        assert left(here) == []
    make, reason = HOSTILE["scaler with code"]
    assert reason in detail(upload(here, make()))
    assert not zips.ESCAPED.exists()
    assert here.client.get("/list_models").json() == before
    assert left(here) == []


def test_uploads_that_are_no_form_or_no_zip(here: Bench) -> None:
    assert "send one .zip" in detail(here.client.post("/upload_model", content=b"x"))
    assert "is called 'plant.rar'" in detail(upload(here, b"x", "plant.rar"))
    odd = upload(here, zips.original(), data={"n_heads": "many"})
    assert odd.status_code == 422
    assert odd.json()["detail"][0]["loc"] == ["body", "n_heads"]
    assert "give up to 100 letters" in detail(
        upload(here, zips.original(), data={"model_name": "."})
    )


def test_models_are_listed_and_deleted(here: Bench) -> None:
    listing = here.client.get("/list_models").json()
    assert listing["count"] == len(listing["models"])
    plant = next(model for model in listing["models"] if model["model_name"] == "plant")
    assert plant.keys() == {"model_name", "last_modified", "size_kb", "version", "stage"}
    served = here.post("/predict", "plant", rows(30)).json()["version"]
    assert (plant["version"], plant["stage"]) == (served, "Production")
    assert plant["size_kb"] > 5
    body = here.client.delete("/delete_model/imported").json()
    files = body.pop("deleted_files")
    assert {"1/MLmodel", "1/model.safetensors", "1/config.json"} <= set(files)
    assert body == {"status": "success", "message": "Modelo 'imported' eliminado correctamente."}
    assert detail(here.client.delete("/delete_model/imported"), 404)
    wait_for(lambda: here.post("/predict", "imported", rows(30)).status_code == 404, 120)
    assert here.post("/predict", "plant", rows(30)).status_code == 200


def test_everything_goes_with_the_key_alone(here: Bench) -> None:
    for key in (b"", b"wrong", "ñ".encode()):
        answer = here.client.delete("/clear_all_models", headers={b"X-Admin-Key": key})
        assert detail(answer, 401) == NOT_AUTHORIZED
    answer = here.client.delete("/clear_all_models", headers={"X-Admin-Key": KEY})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "message": "Limpieza completa realizada con éxito.",
    }
    assert here.client.get("/list_models").json() == {"models": [], "count": 0}
    wait_for(lambda: here.post("/predict", "plant", rows(30)).status_code == 404, 120)

from pathlib import Path

from bentos.itransformer.service import build
from bentos.settings import AdminSettings, Settings
from bentos.web.app import App

WRITING = [
    "POST /train",
    "POST /fine_tuning",
    "DELETE /jobs/{job_id}",
    "POST /upload_model",
    "DELETE /delete_model/{model_name:path}",
    "DELETE /clear_all_models",
]


def answering(app: App, status: int) -> set[str]:
    """The endpoints that may answer so."""
    seen = app.guard.endpoints
    return {f"{one.method} {one.path}" for one in seen if status in one.answers}


def test_as_it_comes_whoever_may_call_may_not_change_anything(tmp_path: Path) -> None:
    app = build(Settings(home=tmp_path))
    assert answering(app, 401) == {*WRITING, "POST /hooks/mlflow"}
    assert app.guard.openness.endswith("of an admin opens " + ", ".join(WRITING))


def test_what_is_not_protected_is_open_but_never_to_clear_everything(tmp_path: Path) -> None:
    app = build(Settings(home=tmp_path, admin=AdminSettings(protects=[])))
    free = ", ".join([*WRITING[:-1], "POST /reload"])
    assert app.guard.openness.endswith(
        f"may call it, {free} too; the admin key or the token of an admin opens {WRITING[-1]}"
    )


def test_where_it_is_guarded_what_changes_state_needs_an_admin(tmp_path: Path) -> None:
    security = {"guarded": ["itransformer"], "secret": "s" * 32}
    app = build(Settings.model_validate({"home": tmp_path, "security": security}))
    wanting = answering(app, 403)
    console = {place for place in wanting if " /console/" in place}
    assert wanting - console == {*WRITING, "POST /reload"}
    assert "POST /console/models/{name}/rollback" in console
    own = app.guard.endpoints[:11]
    assert {one.path for one in own} >= {"/predict", "/jobs"}
    assert all(one.bearer for one in own)
    assert app.guard.openness.startswith("itransformer wants a token, except at /docs, ")

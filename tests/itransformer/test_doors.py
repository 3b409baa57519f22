from pathlib import Path

from pydantic import SecretStr

from bentos.itransformer.messages import OPERATIONS
from bentos.itransformer.service import WRITES
from bentos.settings import AdminSettings, SecuritySettings
from bentos.web.auth.guard import Gate, Guard

WRITING = {
    "/train",
    "/fine_tuning",
    "/jobs/{job_id}",
    "/upload_model",
    "/delete_model/{model_name}",
    "/clear_all_models",
}


def test_as_it_comes_whoever_may_call_may_not_change_anything(tmp_path: Path) -> None:
    keyed = [place for place, kind in WRITES.items() if kind != "everything"]
    assert set(WRITES.values()) == {"everything", *AdminSettings().protects}
    guard = Guard("itransformer", Gate(SecuritySettings(), tmp_path), WRITES, WRITES)
    told = guard.told(OPERATIONS)
    assert {operation.path for operation in told if 401 in operation.answers} == WRITING
    assert guard.openness.endswith("of an admin opens " + ", ".join(map(" ".join, WRITES)))
    half = Guard("itransformer", Gate(SecuritySettings(), tmp_path), WRITES, keyed)
    assert "may call it, DELETE /clear_all_models too; the admin key" in half.openness


def test_where_it_is_guarded_what_changes_state_needs_an_admin(tmp_path: Path) -> None:
    security = SecuritySettings(guarded=["itransformer"], secret=SecretStr("s" * 32))
    told = Guard("itransformer", Gate(security, tmp_path), WRITES).told(OPERATIONS)
    assert all(operation.bearer for operation in told if operation.path != "/auth/login")
    assert {operation.path for operation in told if 403 in operation.answers} == WRITING
    guarded = Guard("itransformer", Gate(security, tmp_path), WRITES, WRITES)
    assert guarded.openness.startswith("itransformer wants a token, except at /docs, ")

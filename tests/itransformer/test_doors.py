from pathlib import Path

from pydantic import SecretStr

from bentos.itransformer.messages import OPERATIONS
from bentos.itransformer.service import ADMIN
from bentos.settings import SecuritySettings
from bentos.web.auth.guard import Gate, Guard


def test_where_it_is_guarded_what_changes_state_needs_an_admin(tmp_path: Path) -> None:
    security = SecuritySettings(guarded=["itransformer"], secret=SecretStr("s" * 32))
    told = Guard("itransformer", Gate(security, tmp_path), ADMIN).told(OPERATIONS)
    assert all(operation.bearer for operation in told if operation.path != "/auth/login")
    assert {operation.path for operation in told if 403 in operation.answers} == {
        "/train",
        "/fine_tuning",
        "/jobs/{job_id}",
        "/upload_model",
        "/delete_model/{model_name}",
        "/clear_all_models",
    }

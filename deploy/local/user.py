"""The user of the local stack: an admin, with a random password."""

from collections.abc import Mapping

from bentos.web.auth.users import UserError, UserFile
from deploy.local.errors import LocalError
from deploy.local.settings import Settings

LOCAL = "ascenso"
PASSWORD = "ASCENSO_LOCAL_PASSWORD"  # noqa: S105 - where it is, not what it is


def ensure(settings: Settings, keys: Mapping[str, str]) -> None:
    """Add the user at the first start; later ones leave the users as they are.

    Raises `LocalError` when the file of users cannot be used.
    """
    file = UserFile(settings.home / "users.json")
    try:
        if not file.path.exists():
            file.add(LOCAL, keys[PASSWORD], admin=True)
    except (UserError, OSError) as error:
        raise LocalError(f"The user {LOCAL} cannot be added: {error}") from error

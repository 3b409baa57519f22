import asyncio
from typing import Any

import pytest

from bentos.serving.rack import Rack
from bentos.web.errors import NotReady
from bentos.web.following import Following
from tests.web.small import small_slot


def test_a_model_that_nobody_knows_is_missing_only_once_the_registry_was_read() -> None:
    rack: Rack[Any, Any] = Rack("keras-", lambda name: small_slot())
    following = Following(racks=[rack])
    with pytest.raises(NotReady, match="MLflow was not read so far"):
        asyncio.run(following.slot(rack, "default"))
    rack.known = True
    assert asyncio.run(following.slot(rack, "default")) is None

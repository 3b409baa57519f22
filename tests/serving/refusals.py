"""What is refused, and why."""

from collections.abc import Callable

import pytest

from bentos.refusal import Reason, Refusal


def refused(reason: Reason, message: str, call: Callable[[], object]) -> None:
    """The call is refused for this reason; `message` is a pattern."""
    with pytest.raises(Refusal, match=message) as caught:
        call()
    assert caught.value.reason == reason
    assert str(caught.value) == f"{reason}: {caught.value.message}"

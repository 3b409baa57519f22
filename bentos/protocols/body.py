"""Bodies as JSON."""

from typing import Any

import msgspec

from bentos.tensors import BadInput


def parsed(body: bytes) -> Any:
    """Any JSON. Raises BadInput."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise BadInput("the body is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"the body is no JSON: {error}") from None

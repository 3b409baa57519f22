"""One call as every protocol understands it."""

from typing import Any

import msgspec

from bentos.tensors import Batch


class Call(msgspec.Struct, frozen=True):
    """The rows of a call. `many` says that they came as a list, and the answers go as one.

    `params` has all that the schema knows, those that the caller left out by their defaults.
    """

    batch: Batch
    many: bool
    params: dict[str, Any]

"""Tests of programs that are shut in."""

import os
from functools import cache

import pytest

from bentos.sandbox import unavailable

reason = cache(unavailable)


def require_sandbox() -> None:
    """Skip where no sandbox can be had; in CI, fail."""
    if why := reason():
        assert not os.environ.get("CI"), why
        pytest.skip(why)

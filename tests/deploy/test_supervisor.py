import time

from deploy.local.supervisor import Deaths


def test_waits_grow() -> None:
    deaths = Deaths()
    began = time.monotonic()
    assert [deaths.add(lived=1) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert began + 30 <= deaths.again_at <= time.monotonic() + 30


def test_one_that_lived_long_starts_again_at_once() -> None:
    deaths = Deaths()
    for _ in range(5):
        deaths.add(lived=1)
    assert deaths.often
    assert deaths.add(lived=61) == 0
    assert not deaths.often

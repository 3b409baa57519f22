"""numpy's random generators, where they stood."""

from typing import Any

import numpy as np

from bentos.flavors.reading.names import MAKERS, Maker, expect, stateful

KINDS: dict[str, Any] = {"MT19937": np.random.MT19937, "PCG64": np.random.PCG64}


@stateful("numpy.random.bit_generator.__pyx_unpickle_SeedSequence")
def seeds(args: tuple[Any, ...], state: Any) -> np.random.SeedSequence:
    """Where a generator has its first numbers from."""
    expect(type(state) is tuple and len(state) == 5, "a SeedSequence has no state")
    entropy, children, _, size, keys = state
    if isinstance(entropy, np.integer):
        entropy = int(entropy)
    expect(type(entropy) in (int, type(None)), "a SeedSequence has no number")
    expect(type(children) is int and children >= 0, "a SeedSequence has no children")
    expect(type(size) is int and 4 <= size <= 64, "a SeedSequence has no pool")
    expect(type(keys) is tuple and all(type(key) is int for key in keys), "no spawn_key")
    return np.random.SeedSequence(
        entropy, spawn_key=keys, pool_size=size, n_children_spawned=children
    )


@stateful("numpy.random._pickle.__bit_generator_ctor")
def bits(args: tuple[Any, ...], state: Any) -> np.random.BitGenerator:
    """A source of random bits."""
    kind = args[0] if args else "MT19937"
    expect(kind in (*KINDS, *KINDS.values()), "random bits are of another kind")
    if type(state) is tuple:
        state = state[0]
    made: np.random.BitGenerator = KINDS.get(kind, kind)(0)
    made.state = _checked(state, type(made).__name__)
    return made


def _checked(state: Any, kind: str) -> dict[str, Any]:
    """The state of a source of bits. numpy reads beyond its memory where it is wrong."""
    expect(
        type(state) is dict and state.get("bit_generator") == kind, "random bits are of no kind"
    )
    inner = state["state"]
    expect(type(inner) is dict, "random bits have no state")
    if kind == "MT19937":
        key, at = inner["key"], inner["pos"]
        expect(
            isinstance(key, np.ndarray) and key.shape == (624,) and key.dtype == np.uint32,
            "random bits have no key",
        )
        expect(type(at) is int and 0 <= at <= 624, "random bits stand nowhere")
    else:
        expect(all(type(inner[name]) is int for name in ("state", "inc")), "no state")
        expect(all(type(state[name]) is int for name in ("has_uint32", "uinteger")), "no state")
    return state  # type: ignore[no-any-return]


@stateful("numpy.random._pickle.__randomstate_ctor")
def random_state(args: tuple[Any, ...], state: Any) -> np.random.RandomState:
    """A generator of the older kind."""
    checked = _checked(state, "MT19937")
    expect(type(checked["has_gauss"]) is int and type(checked["gauss"]) is float, "no gauss")
    made = np.random.RandomState(0)
    made.set_state(checked)
    return made


def _generator(source: Any = None, *_: Any) -> Any:
    """A generator, around its source of bits; of old it was named, and its state came after."""
    return np.random.Generator(source) if isinstance(source, np.random.BitGenerator) else None


def _with_state(args: tuple[Any, ...], state: Any) -> np.random.Generator:
    return np.random.Generator(bits(args[:1], state))


NAME = "numpy.random._pickle.__generator_ctor"
MAKERS[NAME] = Maker(NAME, make=_generator, finish=_with_state)

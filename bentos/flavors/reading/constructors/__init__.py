"""What reviewed constructors make, from arguments and states that are looked at first."""

from bentos.flavors.reading.constructors import arrays, boosters, compiled, plain, randoms

__all__ = ["arrays", "boosters", "compiled", "plain", "randoms"]

"""What reviewed constructors make, from arguments and states that are looked at first."""

from bentos.flavors.reading.constructors import arrays, compiled, plain, randoms

__all__ = ["arrays", "compiled", "plain", "randoms"]

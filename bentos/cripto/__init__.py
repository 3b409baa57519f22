"""cripto: tomorrow's price and direction of crypto assets."""

from bentos.cripto.service import Cripto

__all__ = ["Cripto"]

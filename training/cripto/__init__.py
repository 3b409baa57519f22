"""cripto: tomorrow's price and direction of crypto assets, by five models."""

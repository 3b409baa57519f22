"""From a click in the registry to a swap: noticed, decided, written down."""

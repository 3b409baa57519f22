"""The slot where promotions and requests meet, and the batcher: no registry, disk or HTTP."""

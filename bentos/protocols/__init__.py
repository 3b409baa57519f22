"""What goes over the wire, and the batches it stands for: bytes to batches, and back.

A protocol knows the schema of a model, and neither what answers nor how bytes arrive.
"""

from bentos.protocols.call import Call
from bentos.protocols.rows import Rows

__all__ = ["Call", "Rows"]

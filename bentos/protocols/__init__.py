"""What goes over the wire, and the batches it stands for: bytes to batches, and back.

A protocol knows the schema of a model, and neither what answers nor how bytes arrive.
"""

from bentos.protocols.call import Call
from bentos.protocols.inference import Inference, V2Call
from bentos.protocols.invocations import Invocations, Unsupported
from bentos.protocols.rows import Rows
from bentos.protocols.v2 import V2

__all__ = ["V2", "Call", "Inference", "Invocations", "Rows", "Unsupported", "V2Call"]

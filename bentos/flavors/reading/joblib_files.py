"""joblib's files: a pickle, packed or not, between whose instructions arrays stand as they are.

Nothing of joblib's own loading is reached: older releases opened arrays of objects with a plain
`pickle.load`.
"""

import io
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.reading.constructors.arrays import array
from bentos.flavors.reading.errors import Damaged
from bentos.flavors.reading.limits import LIMITS, Limits
from bentos.flavors.reading.machine import Machine
from bentos.flavors.reading.names import Maker, Unbuilt, expect
from bentos.flavors.reading.reader import Read, finished
from bentos.flavors.reading.unpacking import unpacked

WRAPPER = Maker("joblib.numpy_pickle.NumpyArrayWrapper", finish=lambda args, state: None)
MEMMAP = Maker("numpy.memmap", finish=lambda args, state: None)
MAX_NESTING = 20  # arrays of objects within arrays of objects


def read_joblib(path: Path, limits: Limits = LIMITS) -> Read:
    """Build the model that a file of joblib describes. Raises as `read_pickle` does."""
    machine = JoblibMachine(io.BytesIO(unpacked(Path(path), limits)), limits)
    return finished(machine, machine.run())


class JoblibMachine(Machine):
    """A machine that finds arrays between the instructions."""

    found: ClassVar = {WRAPPER.name: WRAPPER, MEMMAP.name: MEMMAP}
    nesting = 0

    def built(self, instance: Unbuilt, state: Any) -> Any:
        """What is made of a state; an array's stands behind this instruction."""
        if instance.maker is not WRAPPER:
            return super().built(instance, state)
        expect(type(state) is dict and not instance.args, "an array of joblib has no state")
        kind, shape = state.get("dtype"), state.get("shape")
        expect(
            isinstance(kind, np.dtype) and state.get("subclass") in (np.ndarray, MEMMAP),
            "an array of joblib is of another class",
        )
        if kind.hasobject:
            return self._objects()
        return self.weigh(self._numbers(kind, shape, state))

    def _numbers(self, kind: np.dtype[Any], shape: Any, state: dict[str, Any]) -> NDArray[Any]:
        if state.get("numpy_array_alignment_bytes") is not None:
            self.stream.read(self.stream.read(1)[0])
        expect(
            type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape),
            "the shape of an array is none",
        )
        raw = self.stream.read(math.prod(shape) * kind.itemsize)
        return array(shape, kind, raw, state.get("order"))

    def _objects(self) -> Any:
        """An array of objects: a pickle of its own."""
        inner = JoblibMachine(self.stream, self.limits)
        inner.nesting = self.nesting + 1
        if inner.nesting > MAX_NESTING:
            raise Damaged("the file has arrays in arrays in arrays")
        inner.steps, inner.copied = self.steps, self.copied
        made = inner.run()
        self.steps, self.copied = inner.steps, inner.copied
        self.names |= inner.names
        self.versions |= inner.versions
        expect(isinstance(made, np.ndarray), "an array of joblib is none")
        return made

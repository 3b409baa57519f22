"""Which spans are kept, beyond what the standard variables say."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

PROMOTION = "promotion"


class Kept(Sampler):
    """Keeps promotions, which are few, and batches that are linked to calls that are kept.

    Such spans have no parent that says it; all others go by `otherwise`.
    """

    def __init__(self, otherwise: Sampler) -> None:
        self._otherwise = otherwise

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """What becomes of a span that begins."""
        ours = links or name == PROMOTION
        if ours and not get_current_span(parent_context).get_span_context().is_valid:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._otherwise.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """What the library shows."""
        return f"Kept{{{self._otherwise.get_description()}}}"

"""Reads `/metrics` as Prometheus does."""

import httpx
from prometheus_client.parser import text_string_to_metric_families


def value(url: str, name: str, **labels: str) -> float:
    """The sum over the samples of this name with at least these labels; 0 if there is none."""
    answer = httpx.get(f"{url}/metrics").raise_for_status()
    return value_in(answer.text, name, **labels)


def value_in(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )

"""Waiting until a challenger has agreed with the champion often enough."""

import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from bentos.cli.console import progress, say
from bentos.cli.errors import Failed
from bentos.cli.services import Services
from bentos.registry.client import Version

PAUSE_SECONDS = 1.0
COMPARED = "ascenso_trial_compared_total"


@dataclass(frozen=True)
class Evidence:
    """What calls must have shown of a version: how many were compared, what share agreed."""

    agreement: float
    calls: int

    def wait(self, services: Services, version: Version, seconds: float) -> None:
        """Return once there is enough of it.

        All replicas that share a ledger are counted; without one, the metrics are asked, which
        count the workers of one machine. Raises Failed when the version is no challenger,
        disagrees too often, or is not called often enough in the time.
        """
        deadline = time.monotonic() + seconds
        with progress() as tell:
            while (seen := self._seen(services, version)).compared < self.calls:
                tell(f"{version}: {seen}, of {self.calls} calls wanted")
                if time.monotonic() > deadline:
                    raise Failed(
                        f"{version} was compared in {seen.compared} calls after {seconds:g} s, "
                        f"not in {self.calls}: raise its share with the tag serving.traffic"
                    )
                time.sleep(PAUSE_SECONDS)
        if seen.agreement < self.agreement:
            raise Failed(
                f"{version} is not promoted: {seen}, and {self.agreement:.2%} is asked for"
            )
        say(f"{version}: {seen}")

    def _seen(self, services: Services, version: Version) -> "Seen":
        fleet = next((one.fleet for one in services.of(version.name) if one.fleet), None)
        if fleet is None:
            return self._of_metrics(services, version)
        tried = [
            one
            for one in fleet
            if (one.model, one.version) == (version.name, version.version)
            and one.compared is not None
        ]
        if not tried and not _is_challenger(services, version):
            raise _no_challenger(version)
        return Seen(sum(one.compared or 0 for one in tried), sum(one.agreed or 0 for one in tried))

    def _of_metrics(self, services: Services, version: Version) -> "Seen":
        agreed = compared = 0
        for family in text_string_to_metric_families(services.metrics()):
            for sample in family.samples:
                labels = sample.labels
                if sample.name != COMPARED or labels.get("model") != version.name:
                    continue
                if labels["version"] == version.version:
                    compared += int(sample.value)
                    agreed += int(sample.value) if labels["agreed"] == "true" else 0
        if not compared and not _is_challenger(services, version):
            raise _no_challenger(version)
        return Seen(compared, agreed)


@dataclass(frozen=True)
class Seen:
    """Calls that champion and challenger both answered, and how often they agreed."""

    compared: int
    agreed: int

    @property
    def agreement(self) -> float:
        """The share of the calls in which both agreed."""
        return self.agreed / self.compared if self.compared else 0.0

    def __str__(self) -> str:
        return f"agreed with the champion in {self.agreed} of {self.compared} calls"


def _no_challenger(version: Version) -> Failed:
    return Failed(
        f"{version} is no challenger of any running service: point the alias `challenger` to it "
        "first"
    )


def _is_challenger(services: Services, version: Version) -> bool:
    tried = [
        slot.challenger
        for service in services.of(version.name)
        for slot in service.releases
        if slot.model == version.name and slot.challenger
    ]
    return any(one.live and one.live.version == version.version for one in tried)

"""What a relay counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()
LOOKS = Counter("ascenso_relay_looks", "Looks at MLflow", ["outcome"], registry=REGISTRY)
WAITERS = Gauge("ascenso_relay_waiters", "Replicas that wait for a change", registry=REGISTRY)
PASSED = Counter("ascenso_relay_passed", "Requests passed on to MLflow", registry=REGISTRY)
FILES = Counter("ascenso_relay_files", "Files asked for", ["found"], registry=REGISTRY)
BYTES = Counter("ascenso_relay_bytes", "Bytes given to replicas", ["of"], registry=REGISTRY)
FETCHED = Counter("ascenso_relay_fetched_bytes", "Bytes of files from MLflow", registry=REGISTRY)
KEPT = Gauge("ascenso_relay_kept_bytes", "Bytes of files on disk", registry=REGISTRY)
for outcome in ("well", "failed"):
    LOOKS.labels(outcome)
for found in ("kept", "fetched", "denied"):
    FILES.labels(found)
for of in ("models", "files"):
    BYTES.labels(of)

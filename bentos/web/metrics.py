"""What a process counts for Prometheus.

BentoML sets PROMETHEUS_MULTIPROC_DIR before it starts its workers; `prometheus_client` must not
be imported before that. The parent process imports the services too, but serves no metrics.
"""

from prometheus_client import Counter, Gauge, Histogram

from bentos.web import plain

ROUTE = "ascenso.route"  # in the scope of a request: what it is counted as, if not its endpoint
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OUTWARD = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Of each call or batch:
REQUESTS = plain.Counter("ascenso_requests", "Requests answered", ["service", "route", "status"])
REQUEST_SECONDS = plain.Histogram(
    "ascenso_request_seconds", "Time to answer", ["service", "route"], SECONDS
)
BATCH_ROWS = plain.Histogram("ascenso_batch_rows", "Rows in a batch", ["model"], ROWS)
BATCH_SECONDS = plain.Histogram(
    "ascenso_batch_seconds", "Time a model took for a batch", ["model"], SECONDS
)
QUEUE_ROWS = plain.Gauge(
    "ascenso_queue_rows", "Rows that waited when the last batch began", ["model"]
)
WORKER_BYTES = plain.Gauge(
    "ascenso_worker_memory_bytes", "Memory of a worker, and what it shares with others", ["pid"]
)
MODEL_BYTES = plain.Gauge(
    "ascenso_model_memory_bytes",
    "Memory of a model's open versions in all workers, as measured at their admission",
    ["model"],
)
RECORDED = plain.Counter("ascenso_recorded_rows", "Rows that the recorder wrote", ["model"])
RECORDING_LOST = plain.Counter(
    "ascenso_recording_lost_rows", "Rows that were to be recorded, and were dropped",
    ["model", "why"],
)  # fmt: skip
OUTWARD_SECONDS = plain.Histogram(
    "ascenso_outward_seconds", "Time of calls to MLflow, S3 and PostgreSQL", ["to"], OUTWARD
)
OUTWARD_ERRORS = plain.Counter(
    "ascenso_outward_errors", "Calls of them that came to nothing", ["to"]
)
NUMBERS = plain.Numbers(
    [
        OUTWARD_SECONDS,
        OUTWARD_ERRORS,
        REQUESTS,
        REQUEST_SECONDS,
        BATCH_ROWS,
        BATCH_SECONDS,
        QUEUE_ROWS,
        WORKER_BYTES,
        MODEL_BYTES,
        RECORDED,
        RECORDING_LOST,
    ]
)
# Of columns, over all workers already: each of them has the same.
DRIFT_PSI = plain.Gauge(
    "ascenso_drift_psi",
    "Population stability index of a column beside its reference, of the most shifted columns",
    ["model", "side", "column"],
)
DRIFT_SHARE = plain.Gauge(
    "ascenso_drift_share",
    "Share of a column's values that are missing, unknown, or outside of the reference's range",
    ["model", "side", "column", "what"],
)
DRIFT_ROWS = plain.Gauge("ascenso_drift_rows", "Rows that were counted for it", ["model"])
DRIFT = plain.Numbers([DRIFT_PSI, DRIFT_SHARE, DRIFT_ROWS])
DRIFT_COLUMNS = 16  # of a model and side
# Of what is rarer:
LIVE = Gauge(
    "ascenso_live",
    "Processes in which this version is live",
    ["model", "channel", "version"],
    multiprocess_mode="livesum",
)
SWAPS = Counter("ascenso_swaps", "Changes of the live version", ["model", "what"])
REFUSALS = Counter("ascenso_refusals", "Candidates turned down", ["model", "reason"])
FAILURES = Counter(
    "ascenso_process_failures", "Times that the process of a model failed", ["model", "how"]
)
ADMISSION_SECONDS = Histogram(
    "ascenso_admission_seconds", "Time to admit a version", ["model"], buckets=(*SECONDS, 30, 60)
)
COMPARED = Counter(
    "ascenso_trial_compared", "Calls that both answered", ["model", "version", "agreed"]
)
TRIED = Counter(
    "ascenso_trial_tried", "Calls that a canary answered, or failed", ["model", "version", "error"]
)
ERRORS = Counter(
    "ascenso_model_errors",
    "Calls that a model refused for what is in them, or failed at",
    ["model", "what"],
)
CACHE_HITS = Counter("ascenso_cache_hits", "Answers that were kept from before", ["model"])
CACHE_MISSES = Counter("ascenso_cache_misses", "Answers that were not kept", ["model"])
CACHE_FAILURES = Counter("ascenso_cache_failures", "Times that the cache could not be asked")
TALLY_LOST = Counter("ascenso_tally_lost", "Calls that could not be written to a tally")
LOOKED_AT = Gauge(
    "ascenso_registry_looked_at_seconds",
    "Time of the last good look at the registry, since 1970",
    multiprocess_mode="livemin",
)
DEGRADED = Gauge(
    "ascenso_degraded", "1 while the registry cannot be read", multiprocess_mode="livemax"
)


def called_out(to: str, seconds: float, failed: bool) -> None:
    """A call to one of those ended that the services need."""
    OUTWARD_SECONDS.observe((to,), seconds)
    OUTWARD_ERRORS.add((to,), int(failed))

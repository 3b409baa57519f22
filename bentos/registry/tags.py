"""The names of all tags that mean something here, and whose a tag is.

People read `ascenso`, which MLflow's UI sorts to the front; scripts read `serving.*`. What only
the services read is hidden: the UI shows no tag whose name begins with `mlflow.`.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, cast, get_args

import msgspec

from bentos.version import Version

# What people, commands and trainings write; the first on the registered model. A training also
# writes `bentos.version.DIGEST_TAG`.
SERVE_TAG = "serve"
TRAFFIC_TAG = "serving.traffic"
PROMOTED_BY_TAG = "ascenso.promoted_by"

# What the services write.
PIN_TAG = "serving.digest"  # what the files were at the first admission; copies keep it
State = Literal["admitting", "live", "stopped", "retired", "refused", "withdrawn", "challenger"]
WORDS_TAG = "ascenso"
STATE_TAG = "serving.state"
REASON_TAG = "serving.reason"
SINCE_TAG = "serving.since"
REPLICAS_TAG = "serving.replicas"
HIDDEN = "mlflow.ascenso."
ANSWERS_TAG = f"{HIDDEN}answers"  # of samples at the first admission; copies keep it
OWNER_TAG = f"{HIDDEN}owner"
# On the registered model, whose tags every look brings:
WITHDRAWN_TAG = f"{HIDDEN}withdrawn."  # one for each version
ENDED_TAG = f"{HIDDEN}ended."  # the same, of a version that was a challenger
RECORD_TAG = f"{HIDDEN}replica."  # one for each process that serves
OLD_RECORD_TAG = "serving.replica."  # on the version, where these records were before
OURS = (WORDS_TAG, STATE_TAG, REASON_TAG, SINCE_TAG, REPLICAS_TAG, OWNER_TAG)
STATES = get_args(State)
APART = timedelta(minutes=1)  # of the clocks of a service and of MLflow


class Owner(msgspec.Struct, frozen=True):
    """Of which version the other tags speak: MLflow copies tags with a version."""

    name: str
    version: str
    run_id: str
    created: int
    channel: str = ""  # that the version served last

    @classmethod
    def of(cls, version: Version, channel: str) -> "Owner":
        """The owner of what is to be written on a version."""
        return cls(
            version.name, version.version, version.run_id, version.creation_timestamp, channel
        )


def owner(version: Version) -> Owner | None:
    """Of which version its tags speak, if they say so."""
    try:
        return msgspec.json.decode(version.tag(OWNER_TAG), type=Owner)
    except msgspec.DecodeError:
        return None


def is_foreign(version: Version) -> bool:
    """Whether its tags speak of the version that it was copied from.

    Those of older releases name no owner: they are of another one if they are older than this one.
    """
    if known := owner(version):
        return known != Owner.of(version, known.channel)
    try:
        since = datetime.fromisoformat(version.tag(SINCE_TAG))
    except ValueError:
        return False
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return since.tzinfo is not None and since < made - APART


def state(version: Version) -> State | None:
    """What the services say of a version."""
    said = version.tag(STATE_TAG)
    return cast(State, said) if said in STATES and not is_foreign(version) else None


def is_ours(key: str) -> bool:
    """Whether the services write this tag of a version."""
    return key in OURS or key.startswith(OLD_RECORD_TAG)

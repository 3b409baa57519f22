"""The variables that something reads, by who reads them."""

import re

from pydantic import BaseModel

from bentos.settings import Settings
from deploy.local.settings import ROOT
from training.cripto.names import ROOT as DATA

MLFLOW = (ROOT / "mlflow" / "start.sh").read_text()


def settings(model: type[BaseModel], prefix: str = "ASCENSO_") -> set[str]:
    """The variables of the services' settings, nested ones too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        found.add(variable)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= settings(field.annotation, f"{variable}__")
    return found


READ = {
    "start.sh": set(re.findall(r"\b(?:MLFLOW|PG)[A-Z_]{3,}\b", MLFLOW))
    - {"PGPORT", "PGSSLMODE", "PGSSLROOTCERT"}  # compose's own database needs none
    - {"MLFLOW_UVICORN_OPTS"}  # nor a load balancer
    - set(re.findall(r"export (\w+)=(?:true|false)", MLFLOW)),  # its own
    "compose": {"MLFLOW_SITE"},
    "backup.sh": {"S3_BUCKET"},
    "libpq": {"PGPORT", "PGSSLMODE", "PGSSLROOTCERT"},
    "boto3": {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
    },
    "clients": {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"},
    "accounts": {
        f"MLFLOW_PASSWORD_{user}" for user in ("TRAINER", "PROMOTER", "SERVICE", "FORECASTER")
    },
    "services": settings(Settings) | {DATA},
    "uvicorn": {"FORWARDED_ALLOW_IPS", "MLFLOW_UVICORN_OPTS"},
    "bentoml": {"BENTOML_HOST", "BENTOML_PORT", "BENTOML_HOME", "BENTOML_DO_NOT_TRACK"},
}
ENVIRONMENT = set().union(*READ.values())

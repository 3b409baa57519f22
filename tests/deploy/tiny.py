"""The smallest stack: S3, MLflow and one BentoML service that needs no model."""

import sys

import bentoml

from deploy.local.servers import SERVE
from deploy.local.settings import load
from deploy.local.stack import run


@bentoml.service(metrics={"enabled": False})
class Tiny:
    """Answers `/readyz`, as every BentoML service does."""


if __name__ == "__main__":
    run(load(), families=(), serve=(*SERVE, *sys.argv[1:]))

"""The service's own log: one JSON object a line, on standard error."""

import logging
import os

from pythonjsonlogger.json import JsonFormatter

LEVEL = "ASCENSO_LOG_LEVEL"


def log_as_json() -> None:
    """Send what the packages of this project log to standard error, from INFO up.

    Raises ValueError when ASCENSO_LOG_LEVEL names no level.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            ["asctime", "levelname", "name", "process", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logger = logging.getLogger("bentos")
    logger.handlers = [handler]
    logger.setLevel(os.environ.get(LEVEL, "INFO").upper())
    logger.propagate = False
    # Nobody wrote uvicorn's lines of each call, which were made all the same.
    logging.getLogger("uvicorn.access").propagate = False

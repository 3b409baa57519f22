"""The service's own log: one JSON object a line, on standard error."""

import logging
import os

from pythonjsonlogger.json import JsonFormatter

from bentos.serving.witness import CALL_ID
from bentos.tracing import here

LEVEL = "ASCENSO_LOG_LEVEL"


def log_as_json() -> None:
    """Send what the packages of this project log to standard error, from INFO up.

    Within a call its `request_id` stands in the line, and within a trace `trace_id` and `span_id`.
    Raises ValueError when ASCENSO_LOG_LEVEL names no level.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_placed)
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


def _placed(record: logging.LogRecord) -> bool:
    if given := CALL_ID.get():
        record.request_id = given
    vars(record).update(here())
    return True

"""Folders judged in this process, as the process for admissions judges them."""

from pathlib import Path
from typing import Any

from bentos.admission.judging import judge
from bentos.admission.releases import open_release
from bentos.admission.verdict import Case, Refused
from bentos.refusal import Refusal
from bentos.registry.client import Tag, Version
from bentos.registry.tags import ANSWERS_TAG, PIN_TAG
from bentos.serving.release import Contract, Release
from bentos.settings import AdmissionSettings
from tests.serving.versions import CONTRACT, digest_tag

BY_SCHEMA = Contract(None, None, by_schema=True)


def case(
    folder: Path, contract: Contract = CONTRACT, pin: str = "", answers: str = "", **admission: Any
) -> Case:
    """What is judged of a folder; what that ends in lies beside it."""
    signed_as = (digest_tag(folder),) if (folder / "ascenso").exists() else ()
    pins = Tag(PIN_TAG, pin), Tag(ANSWERS_TAG, answers)
    version = Version("local", "1", tags=(*signed_as, *pins))
    rules = AdmissionSettings(**admission).model_dump_json()
    return Case(version, folder, folder.with_name("place"), contract, rules)


def admitted(
    folder: Path, contract: Contract = CONTRACT, pin: str = "", answers: str = "", **admission: Any
) -> Release:
    """The release of a folder, opened from what its admission left. Raises Refusal."""
    asked = case(folder, contract, pin, answers, **admission)
    verdict = judge(asked)
    if isinstance(verdict, Refused):
        raise Refusal(verdict.reason, verdict.message)
    return open_release(asked.version, verdict, asked.place)

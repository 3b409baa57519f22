"""deploy/ci: the workflow that tests, builds, scans, signs and publishes."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import ROOT
from tests.deploy.chart import CHART, HELM
from tests.deploy.judges import judge

WORKFLOW = ROOT / "deploy" / "ci" / "release.yml"
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
STEPS: list[dict[str, Any]] = JOBS["image"]["steps"]


def test_the_workflow_keeps_its_schema_and_is_safe() -> None:
    judge("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    judge("zizmor", "--offline", "--quiet", WORKFLOW)


def test_what_is_unsafe_is_found(tmp_path: Path) -> None:
    text = re.sub(r"checkout@\w+", "checkout@main", WORKFLOW.read_text())
    (tmp_path / "release.yml").write_text(text)
    with pytest.raises(AssertionError, match="unpinned-uses"):
        judge("zizmor", "--offline", "--quiet", tmp_path / "release.yml")


def test_every_action_is_one_commit_whose_release_is_named() -> None:
    uses = re.findall(r"uses: (.*)", WORKFLOW.read_text())
    assert len(uses) > 8
    assert [u for u in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)] == []


def place(text: str) -> int:
    """Which step of a build holds this."""
    (found,) = [i for i, step in enumerate(STEPS) if text in str(step)]
    return found


def test_nothing_has_a_name_before_it_is_scanned_and_signed() -> None:
    order = ["push-by-digest=true", "cyclonedx-json", "severity-cutoff", "cosign sign", "--tag"]
    assert sorted(map(place, order)) == [place(one) for one in order]
    assert JOBS["image"]["needs"] == "test"
    assert JOBS["values"]["needs"] == "image"
    assert all("tags" not in step.get("with", {}) for step in STEPS)


def test_the_same_images_are_built_as_by_hand() -> None:
    (by_hand,) = re.findall(r"for target in (.*);", (ROOT / "deploy/images/push.sh").read_text())
    assert JOBS["image"]["strategy"]["matrix"]["target"] == by_hand.split()


def test_the_chart_takes_the_values_that_are_left(tmp_path: Path) -> None:
    (script,) = [step["run"] for step in JOBS["values"]["steps"] if "run" in step]
    (tmp_path / "digests").mkdir()
    for number, target in enumerate(JOBS["image"]["strategy"]["matrix"]["target"]):
        (tmp_path / "digests" / target).write_text(f"sha256:{number:064}\n")
    env = {"PATH": os.environ["PATH"], "REGISTRY": "ghcr.io/us", "GITHUB_SHA": "abcdef" * 6}
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=env, check=True, capture_output=True)
    files = [x for f in (HELM / "production.yaml", tmp_path / "images.yaml") for x in ("-f", f)]
    made = judge("helm", "template", "ascenso", CHART, *files)
    images = set(re.findall(r"image: (ghcr\S+)", made))
    assert len(images) == 5
    assert all(re.fullmatch(r"ghcr.io/us/ascenso-\w+@sha256:\d{64}", image) for image in images)

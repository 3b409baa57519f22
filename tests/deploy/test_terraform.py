"""deploy/terraform: its format, its names, and the arguments of AWS's provider.

`aws_schema.json` has the arguments of each type that is used here, from the provider's published
bindings: true for one that is required, an object for a block ("*" when that is required).
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from deploy.local.settings import ROOT
from tests.deploy.chart import containers, named, parsed, pods
from tests.deploy.judges import judge

FOLDER = ROOT / "deploy" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
TEXT = "\n".join(path.read_text() for path in FILES)
SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("aws_schema.json").read_text())
META = {"for_each", "count", "depends_on", "lifecycle"}
Block = dict[str, Any]


def blocks() -> Iterator[tuple[str, str, Block]]:
    """The kind and type, the name and the content of each resource and data source."""
    for path in FILES:
        with path.open() as file:
            parsed = hcl2.load(file)
        for kind in ("resource", "data"):
            for found in parsed.get(kind, []):
                ((kind_of, named),) = found.items()
                ((name, content),) = ((n, c) for n, c in named.items() if n != "__is_block__")
                yield f"{kind} {kind_of.strip(chr(34))}", name.strip('"'), content


def faults(where: str, content: Block, schema: Block) -> Iterator[str]:
    """What AWS's provider would not take."""
    given = {name for name in content if not name.startswith("__")} - META
    yield from (f"{where}.{name} is unknown" for name in given - schema.keys())
    needed = {n for n, s in schema.items() if s is True or (s and s.get("*"))} - {"*"}
    yield from (f"{where}.{name} is missing" for name in needed - given)
    for name in given & schema.keys():
        inner = schema[name]
        if isinstance(inner, dict) and inner:
            for one in content[name] if isinstance(content[name], list) else []:
                yield from faults(f"{where}.{name}", one, inner)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [pytest.param(*block, id=f"{block[0]}.{block[1]}") for block in blocks()],
)
def test_every_argument_is_one_of_the_provider(kind: str, name: str, content: Block) -> None:
    assert list(faults(f"{kind}.{name}", content, SCHEMA[kind])) == []


def test_a_wrong_argument_is_found() -> None:
    content = {"nam": "x", "vpc_config": [{"subnets": []}], "role_arn": "y"}
    assert set(faults("it", content, SCHEMA["resource aws_eks_cluster"])) == {
        "it.nam is unknown",
        "it.name is missing",
        "it.vpc_config.subnets is unknown",
        "it.vpc_config.subnet_ids is missing",
    }


def test_every_name_is_declared_and_used() -> None:
    variables = set(re.findall(r'^variable "(\w+)"', TEXT, re.M))
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == variables
    declared = {(kind.split()[0], kind.split()[1], name) for kind, name, _ in blocks()}
    code = re.sub(r'^(resource|data) .*|#.*|"arn:[^"]*"', "", TEXT, flags=re.M)
    for data, kind, name in re.findall(r"\b(data\.)?(aws_\w+)\.(\w+)", code):
        assert ("data" if data else "resource", kind, name) in declared


def test_the_format_is_terraforms() -> None:
    judge("terraform", "fmt", "-check", "-recursive", "-no-color", FOLDER)


def test_terraform_takes_it(tmp_path: Path) -> None:
    """Where AWS's provider lies in the folder that TF_PLUGIN_CACHE_DIR names."""
    if not os.environ.get("TF_PLUGIN_CACHE_DIR"):
        pytest.skip("TF_PLUGIN_CACHE_DIR names no folder with AWS's provider")
    for path in FILES:
        (tmp_path / path.name).write_text(path.read_text())
    judge("terraform", f"-chdir={tmp_path}", "init", "-backend=false", "-input=false", "-no-color")
    judge("terraform", f"-chdir={tmp_path}", "validate", "-no-color")


def test_the_bucket_is_closed() -> None:
    found = {kind.removeprefix("resource "): content for kind, _, content in blocks()}
    access = found["aws_s3_bucket_public_access_block"]
    assert all(
        value is True for name, value in access.items() if name.startswith(("block", "ign"))
    )
    assert (
        found["aws_s3_bucket_versioning"]["versioning_configuration"][0]["status"] == '"Enabled"'
    )
    assert found["aws_db_instance"]["storage_encrypted"] is True
    assert found["aws_db_instance"]["publicly_accessible"] is False


def test_an_addon_that_is_there_already_is_taken_over() -> None:
    (addon,) = [content for kind, _, content in blocks() if kind == "resource aws_eks_addon"]
    assert addon["resolve_conflicts_on_create"] == addon["resolve_conflicts_on_update"]
    assert addon["resolve_conflicts_on_create"] == '"OVERWRITE"'


def test_services_read_artifacts_where_they_fetch_them_themselves() -> None:
    """The chart's `store.artifacts: s3` is denied without."""
    assert 'service = { prefixes = var.direct_artifacts ? ["data", "mlflow"] : ["data"]' in TEXT
    (policy,) = [c for kind, name, c in blocks() if kind.startswith("data") and name == "pod"]
    objects, names, _ = policy["statement"]
    assert "each.value.prefixes" in str(objects["resources"])
    assert "each.value.prefixes" in str(names["condition"])


def test_services_write_recordings_and_read_them_for_replays_alone() -> None:
    found = {(kind, name): content for kind, name, content in blocks()}
    write, key = found["data aws_iam_policy_document", "recordings"]["statement"]
    assert set(write["actions"]) == {'"s3:PutObject"', '"s3:AbortMultipartUpload"'}
    assert write["resources"] == ['"${aws_s3_bucket.this.arn}/recordings/*"']
    assert not any("s3:" in action for action in key["actions"])
    role = found["resource aws_iam_role_policy", "recordings"]["role"]
    assert role == '${aws_iam_role.pod["service"].id}'
    assert "replays_at_admission" in found["resource aws_iam_role_policy", "replays"]["count"]
    rule = found["resource aws_s3_bucket_lifecycle_configuration", "this"]["rule"][1]
    assert rule["filter"][0]["prefix"] == '"recordings/model="'
    assert "recordings_days" in rule["expiration"][0]["days"]


def test_kubernetes_takes_the_roles_that_are_made() -> None:
    roles = set(re.findall(r"^    (\w+) += \{ prefixes", TEXT, re.M))
    made = parsed("production")
    annotated = {
        name: re.findall(r"role/ascenso-(\w+)", str(account["metadata"]["annotations"]))
        for name, account in named(made, "ServiceAccount").items()
    }
    assert annotated == {role: [role] for role in roles}
    (images,) = re.findall(r"toset\((\[.*\])\)\n  name  ", TEXT)
    used = {c["image"] for _, pod, _ in pods(made) for c in containers(pod)}
    own = {re.findall(r"/ascenso-(\w+):", image)[0] for image in used if "/ascenso-" in image}
    assert own == set(json.loads(images))

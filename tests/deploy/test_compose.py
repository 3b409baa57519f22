"""docker-compose.yml: its schema, and that all that it names exists."""

import importlib
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis

from bentos import stack
from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.environment import ENVIRONMENT, READ
from tests.deploy.judges import judge, load
from tests.stack import free_ports, wait_for

NAMES = [app.name for app in stack.build(Settings()).apps]
FILE = ROOT / "docker-compose.yml"
COMPOSE = load(FILE)
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/images/Dockerfile").read_text()
OWN = {name for name, service in SERVICES.items() if "build" in service}


def names(secrets: list[Any]) -> dict[str, str]:
    """The name of the secret that each variable comes from."""
    pairs = [s if isinstance(s, dict) else {"source": s, "target": s} for s in secrets]
    return {pair["target"]: pair["source"] for pair in pairs}


def built(target: str) -> str:
    """What the Dockerfile says of a target, with the stages of its own that it stands on."""
    found = re.findall(rf"^FROM (\S+) AS {target}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
    return "".join(built(base) + text for base, text in found)


def test_the_head_tells_nothing_that_fails() -> None:
    """The trainer may not promote, and Amazon does not know the keys that keys.sh makes up."""
    head = FILE.read_text().partition("\nname:")[0]
    assert "--promote" not in head
    assert "AWS_ENDPOINT_URL=" in head
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(re.findall(r"\w+", head))


def test_the_schema_is_kept() -> None:
    judge("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE)


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["user"].startswith("0")
    assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert re.search(r":v?\d+\.\d+", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_tells_its_health(name: str) -> None:
    service = SERVICES[name]
    if name in OWN and "healthcheck" not in service:
        assert "HEALTHCHECK" in built(service["build"]["target"]) or name == "train"
    for other, how in service.get("depends_on", {}).items():
        ends = how["condition"] == "service_completed_successfully"
        assert (SERVICES[other].get("healthcheck") == {"disable": True}) == ends


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_and_folder_exists(name: str) -> None:
    service = SERVICES[name]
    if build := service.get("build"):
        assert f" AS {build['target']}\n" in DOCKERFILE
        assert (ROOT / build["dockerfile"]).is_file()
    for source, *_ in (volume.split(":") for volume in service.get("volumes", [])):
        known = (
            (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        )
        assert known, source
    assert set(names(service.get("secrets", [])).values()) <= COMPOSE["secrets"].keys()


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_command_is_in_its_image(name: str) -> None:
    command = [word for word in SERVICES[name].get("command", []) if not word.startswith("-")]
    for word in command:
        if ":" in word:
            module, _, service = word.partition(":")
            assert hasattr(importlib.import_module(module), service), word
        elif "/" in word:
            assert (ROOT / word).is_file(), word
        elif "." in word:
            assert importlib.util.find_spec(word), word
        else:
            assert word in {"python", "bentoml", "serve", "migrate"}, word


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_variable_is_read_by_something(name: str) -> None:
    service = SERVICES[name]
    given = {*service.get("environment", {}), *names(service.get("secrets", []))}
    assert given - ENVIRONMENT == set()


def test_every_needed_variable_is_given() -> None:
    given = SERVICES["mlflow"]["environment"].keys() | set(SERVICES["mlflow"]["secrets"])
    assert given >= READ["start.sh"] - {"MLFLOW_HOST", "MLFLOW_PORT"}
    accounts = load(ROOT / "mlflow" / "accounts.yaml")
    words = {f"MLFLOW_PASSWORD_{user.upper()}" for user in accounts["users"]}
    assert words <= set(SERVICES["accounts"]["secrets"])


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_address_is_a_container(name: str) -> None:
    """`http://mlflow:5000` names a service, and the port that its image listens on."""
    values = map(str, SERVICES[name].get("environment", {}).values())
    for host, port in re.findall(r"http://([a-z0-9]+):(\d+)", " ".join(values)):
        assert f"EXPOSE {port}\n" in built(SERVICES[host]["build"]["target"])


def test_every_service_has_a_container_that_runs_it_alone() -> None:
    each = {n: s["command"][-1] for n, s in SERVICES.items() if s.get("profiles") == ["each"]}
    assert {n: c.split(":")[0] for n, c in each.items()} == {
        name: f"bentos.{name}" for name in NAMES
    }
    ports = [SERVICES[name]["ports"][0] for name in each]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("name", [*NAMES, "services"])
def test_a_service_gets_the_keys_that_it_needs_and_no_others(name: str) -> None:
    service = SERVICES[name]
    given = names(service["secrets"])
    keras_api, itransformer = (
        name in ("keras_api", "services"),
        name in ("itransformer", "services"),
    )
    for variable in ("SECURITY__SECRET", "SECURITY__RATE_URL", "ANSWERS__URL"):
        assert (f"ASCENSO_{variable}" in given) == keras_api
    assert ("ASCENSO_ADMIN_KEY" in given) == itransformer
    user = service["environment"]["MLFLOW_TRACKING_USERNAME"]
    assert user == ("forecaster" if itransformer else "service")
    assert given["MLFLOW_TRACKING_PASSWORD"] == f"MLFLOW_PASSWORD_{user.upper()}"
    assert service["build"]["target"] == ("stack" if itransformer else "services")


def test_redis_wants_the_password_of_the_address(tmp_path: Path) -> None:
    """The command of compose, on another port, with the files of keys.sh."""
    keys = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/compose/keys.sh", keys], check=True, capture_output=True)
    (port,) = free_ports(1)
    (command,) = SERVICES["redis"]["command"]
    command = command.replace("$$", "$").replace("/run/secrets", str(keys))
    command = command.replace("END\nrequirepass", f"END\nport {port}\nbind 127.0.0.1\nrequirepass")
    server = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.DEVNULL)
    url = (keys / "REDIS_URL").read_text().replace("@redis:6379", f"@127.0.0.1:{port}")
    try:
        with redis.Redis.from_url(url) as known, redis.Redis(port=port) as stranger:
            wait_for(lambda: answers(known), 60)
            assert known.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
    finally:
        server.terminate()
        server.wait(120)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_keys_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = ROOT / "deploy" / "compose" / "keys.sh"
    judge("shellcheck", script)
    subprocess.run([script, folder], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert len(set(made.values())) == len(made)
    assert min(map(len, made.values())) >= 32
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    subprocess.run([script, folder], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_no_secret_gets_into_git() -> None:
    paths = [secret["file"] for secret in COMPOSE["secrets"].values()]
    done = subprocess.run(
        ["git", "check-ignore", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == paths
    assert not os.path.commonpath(paths).startswith("/")

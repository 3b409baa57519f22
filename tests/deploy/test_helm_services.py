"""deploy/helm: the services read what the values say, and get what they need."""

import importlib
import os
from typing import Any

import pytest

from bentos.settings import Channel, Settings
from tests.deploy.chart import (
    APPS,
    VALUES,
    env,
    keys,
    mlflow,
    named,
    of,
    parsed,
    pods,
    services,
)


def found_by(pod: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a service that runs in a pod."""
    for name in os.environ:
        if name.startswith(("ASCENSO_", "MLFLOW_")):
            monkeypatch.delenv(name)
    for name, value in env(pod).items():
        monkeypatch.setenv(name, value)
    return Settings()


@VALUES
def test_services_start_alive_and_take_calls_when_they_serve(values: str) -> None:
    found = services(parsed(values))
    for name, pod in found.items():
        (container,) = pod["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        module, _, service = container["args"][2].partition(":")
        assert module == f"bentos.{name.replace('-', '_')}"
        assert hasattr(importlib.import_module(module), service)
    assert found.keys() == {app.name.replace("_", "-") for app in APPS}


@VALUES
def test_a_service_runs_with_what_its_values_say(
    values: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, pod in services(parsed(values)).items():
        settings = found_by(pod, monkeypatch)
        assert settings.registry.direct or settings.tracking_uri == "http://mlflow:5000"
        assert settings.security.guarded == ["keras_api"]
        assert settings.security.open.keys() == {
            "default",
            "keras_api",
        }  # of the file in the image
        volume = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "state"]
        assert volume in ([{"sizeLimit": "10Gi"}], [])  # or a volume of its own, as large
        assert settings.cache.bytes == 5 * 2**30  # environments take room, too
        assert (settings.grpc.port == 8001) == (name == "models")
        for model in ("wine", "prod.wine"):  # who may only register moves nothing
            assert settings.channel(model) == Channel(stage="Production")


def test_the_settings_of_one_service_win_over_those_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = parsed(
        "dev",
        'settings.admission={"compile": true, "niceness": 3}',
        'services.contugas.settings={"admission": {"compile": false}}',
        "services.contugas.workers=3",
    )
    contugas = found_by(services(made)["contugas"], monkeypatch)
    assert (contugas.admission.compile, contugas.admission.niceness) == (False, 3)
    assert contugas.services.workers == 3
    assert found_by(services(made)["spotify"], monkeypatch).admission.compile


def test_several_deployments_share_the_models_of_a_company(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gas = '{"serve": "bentos.models:Models", "settings": {"models": {"include": ["gas-*"]}}}'
    made = parsed(
        "dev", f"services.models-gas={gas}",
        'services.models.settings={"models": {"exclude": ["gas-*"]}}',
        'services.cripto={"enabled": false}',
    )  # fmt: skip
    found = services(made)
    assert "cripto" not in found
    assert found_by(found["models-gas"], monkeypatch).models.include == ["gas-*"]
    models = found_by(found["models"], monkeypatch).models
    assert (models.include, models.exclude) == (["*"], ["gas-*"])
    selectors = [r["spec"]["selector"] for r in of(made, "Service")]
    assert len(selectors) == len({str(selector) for selector in selectors})


def test_configuration_may_be_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, pod, labels in pods(parsed("dev", 'configs="mine"')):
        if labels["ascenso/part"] in ("service", "trainer"):
            (container,) = pod["containers"]
            (mount,) = [m for m in container["volumeMounts"] if m["name"] == "configs"]
            assert env(pod)["ASCENSO_CONFIGS"] == mount["mountPath"], name
            assert {"name": "configs", "configMap": {"name": "mine"}} in pod["volumes"]


@VALUES
def test_a_service_gets_the_keys_that_it_needs_and_no_others(values: str) -> None:
    for name, pod in services(parsed(values)).items():
        given = keys(pod)
        for variable in ("SECURITY__SECRET", "SECURITY__RATE_URL", "ANSWERS__URL"):
            assert (f"ASCENSO_{variable}" in given) == (name == "keras-api")
        assert ("ASCENSO_ADMIN_KEY" in given) == (name == "itransformer")
        assert ("AWS_SECRET_ACCESS_KEY" in given) == (values == "dev")  # else its role
        (container,) = pod["containers"]
        known = [{"secretRef": {"name": "ascenso-users", "optional": True}}]
        assert container.get("envFrom", []) == (known if name == "keras-api" else [])


@VALUES
def test_jobs_have_their_tools_their_account_and_a_place_that_lasts(values: str) -> None:
    made = parsed(values)
    pod = services(made)["itransformer"]
    (container,) = pod["containers"]
    assert "ascenso-stack" in container["image"]
    assert env(pod)["MLFLOW_TRACKING_USERNAME"] == "forecaster"
    assert keys(pod)["MLFLOW_TRACKING_PASSWORD"] == "MLFLOW_PASSWORD_FORECASTER"
    (claim,) = named(made, "StatefulSet")["itransformer"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "state"
    assert {"name": "state", "mountPath": "/var/lib/ascenso"} in container["volumeMounts"]
    assert "itransformer" not in named(made, "HorizontalPodAutoscaler")
    classes = named(made, "StorageClass").keys()
    assert ({claim["spec"].get("storageClassName")} - {None}) == classes
    assert bool(classes) == (values == "production")


def test_services_may_fetch_from_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parsed("production", 'store.artifacts="s3"')
    registry = found_by(services(made)["models"], monkeypatch).registry
    assert registry.artifacts == "s3"
    assert registry.s3_root == env(mlflow())["MLFLOW_ARTIFACTS_DESTINATION"]


def test_a_release_may_ask_a_registry_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parsed("production", 'registry.uri="http://mlflow.ascenso:5000"')
    assert "mlflow" not in named(made, "Deployment").keys() | named(made, "Job").keys()
    relay = named(made, "Deployment")["relay"]["spec"]["template"]["spec"]
    assert found_by(relay, monkeypatch).tracking_uri.endswith("ascenso:5000")
    assert found_by(services(made)["models"], monkeypatch).registry.direct.endswith("ascenso:5000")
    egress = named(made, "NetworkPolicy")["services"]["spec"]["egress"]
    assert {"ports": [{"port": 5000}]} in egress
    assert "mlflow.ascenso:5000" in env(mlflow())["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")


def test_services_ask_a_relay_and_know_the_way_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parsed("production")
    there = named(made, "Service")
    for name, pod in services(made).items():
        found = found_by(pod, monkeypatch)
        assert found.tracking_uri == "http://relay:5001", name
        assert found.registry.direct == "http://mlflow:5000"
    relay = named(made, "Deployment")["relay"]["spec"]["template"]["spec"]
    own = found_by(relay, monkeypatch)
    (port,) = there["relay"]["spec"]["ports"]
    assert (own.tracking_uri, own.relay.port) == ("http://mlflow:5000", port["port"])
    assert own.relay.host == "0.0.0.0"
    assert own.relay.cache_bytes < own_disk(relay) * 2**30
    assert keys(relay) == {}  # what it does, it does by its callers' rights
    alone = found_by(services(parsed("production", "relay.enabled=false"))["models"], monkeypatch)
    assert (alone.tracking_uri, alone.registry.direct) == ("http://mlflow:5000", "")


def own_disk(pod: dict[str, Any]) -> int:
    """GiB of a pod's state."""
    (state,) = [v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "state"]
    return int(state.removesuffix("Gi"))


@VALUES
def test_all_pods_share_a_ledger(values: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a role of its own: who may write to MLflow's database may promote."""
    made = parsed(values)
    for pod in services(made).values():
        given = env(pod)
        assert found_by(pod, monkeypatch).ledger.url.get_secret_value() == "postgresql://"
        assert (given["PGUSER"], given["PGDATABASE"]) == ("ledger", "ledger")
        assert keys(pod)["PGPASSWORD"] == "LEDGER_PASSWORD"
        mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert ("PGSSLROOTCERT" in given) == ("/etc/ascenso/database" in mounted)
    egress = named(made, "NetworkPolicy")["services"]["spec"]["egress"]
    assert {"port": 5432} in [port for rule in egress for port in rule["ports"]]
    alone = parsed(values, 'database.ledger=""')
    assert "ASCENSO_LEDGER__URL" not in env(services(alone)["models"])
    assert "PGPASSWORD" not in keys(services(alone)["models"])


def test_each_family_has_its_training(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parsed("production", 'trainer.schedules={"keras_api": "0 4 * * *"}')
    found = named(made, "CronJob")
    for app in APPS:
        if app.name != "models":
            job = found[f"train-{app.name.replace('_', '-')}"]
            (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
            assert container["args"] == [f"training.{app.name}"]
            assert job["spec"]["suspend"] == (app.name != "keras_api")
    assert found["train-keras-api"]["spec"]["schedule"] == "0 4 * * *"


def test_spans_reach_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parsed("production", 'tracing.endpoint="http://collector.tracing:4318"')
    pod = services(made)["contugas"]
    assert found_by(pod, monkeypatch).tracing.exporter == "otlp"
    said = {name: value for name, value in env(pod).items() if name.startswith("OTEL_")}
    assert said["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.tracing:4318"
    assert said["OTEL_SERVICE_NAME"] == "contugas"
    policy = named(made, "NetworkPolicy")["services"]
    assert [{"port": 4318}] in [rule["ports"] for rule in policy["spec"]["egress"]]
    plain = services(parsed("production"))["contugas"]
    assert not [name for name in env(plain) if name.startswith("OTEL_")]
    assert found_by(plain, monkeypatch).tracing.exporter == "none"

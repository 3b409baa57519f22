"""deploy/helm: MLflow, its database and bucket, and the doors of a company."""

import re
from pathlib import Path
from typing import Any

from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.chart import (
    APPS,
    HELM,
    VALUES,
    containers,
    env,
    keys,
    mlflow,
    named,
    of,
    parsed,
    pods,
)
from tests.deploy.company import SITE
from tests.deploy.judges import load

CALLED_FROM_OUTSIDE = {"service", "mlflow"}


def hosts() -> set[str]:
    """The names of MLflow's pages."""
    ingress = named(parsed("production"), "Ingress")["mlflow"]
    return {rule["host"] for rule in ingress["spec"]["rules"]}


def test_mlflow_takes_changes_from_its_own_page() -> None:
    """Its host name is a page's origin, too: MLflow exempts localhost only."""
    config = env(mlflow())
    assert hosts() < set(config["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))
    origins = config["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    assert {f"https://{host}" for host in hosts()} == set(origins)
    assert hosts() == {SITE}  # for which a real server is asked


def attribute(ingress: dict[str, Any], kind: str, name: str) -> int:
    """What an Ingress asks of its load balancer."""
    said = ingress["metadata"]["annotations"][f"alb.ingress.kubernetes.io/{kind}-attributes"]
    return int(dict(one.split("=") for one in said.split(","))[name])


def kept(pod: dict[str, Any]) -> int:
    """For how many seconds a pod keeps a quiet connection; uvicorn's own are 5."""
    (container,) = pod["containers"]
    said = " ".join([*container.get("args", []), env(pod).get("MLFLOW_UVICORN_OPTS", "")])
    found = re.search(r"--timeout-keep-alive (\d+)", said)
    return int(found[1]) if found else 5


def test_the_load_balancer_closes_a_connection_before_a_pod_does() -> None:
    """A call on a connection that the pod closes is a 502; so is one to a pod that has gone."""
    made = parsed("production")
    called = [
        pod for _, pod, labels in pods(made) if labels["ascenso/part"] in CALLED_FROM_OUTSIDE
    ]
    assert len(called) == len(APPS) + 1
    settings = Settings()
    for ingress in of(made, "Ingress"):
        idle = attribute(ingress, "load-balancer", "idle_timeout.timeout_seconds")
        leaving = attribute(ingress, "target-group", "deregistration_delay.timeout_seconds")
        assert idle > settings.uploads.seconds
        for pod in called:
            (container,) = pod["containers"]
            stays = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert kept(pod) > idle
            assert stays > leaving
            grace = pod["terminationGracePeriodSeconds"]
            assert grace > stays + settings.services.request_timeout_seconds
    namespace = load(HELM / "namespace.yaml")
    assert "elbv2.k8s.aws/pod-readiness-gate-inject" in namespace["metadata"]["labels"]


def test_the_database_shows_who_it_is() -> None:
    """Each container that speaks with it knows by whom its certificate is signed."""
    pod = mlflow()
    config = env(pod)
    assert config["PGSSLMODE"] == "verify-full"
    folder = str(Path(config["PGSSLROOTCERT"]).parent)
    for container in containers(pod):
        (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == folder]
        assert {"name": mount["name"], "configMap": {"name": "database-ca"}} in pod["volumes"]


@VALUES
def test_no_server_starts_before_its_migration(values: str) -> None:
    pod = mlflow(values)
    (first,) = pod["initContainers"]
    (then,) = pod["containers"]
    assert first["args"] == ["mlflow/start.sh", "migrate"]
    assert (first["image"], first["env"]) == (then["image"], then["env"])


def test_what_goes_through_mlflow_has_a_place_that_is_large_enough() -> None:
    """MLflow stages each file that it hands on in its temporary folder."""
    volumes = {volume["name"]: volume for volume in mlflow()["volumes"]}
    mounts = {m["mountPath"]: m["name"] for m in mlflow()["containers"][0]["volumeMounts"]}
    assert volumes[mounts["/tmp"]]["emptyDir"] == {"sizeLimit": "20Gi"}
    asked = mlflow()["containers"][0]["resources"]["requests"]
    assert asked["ephemeral-storage"] == "20Gi"  # the node has it, or the pod goes elsewhere
    other = mlflow("production", 'registry.staging={"gib": 200, "class": "ascenso"}')
    (made,) = [v["ephemeral"] for v in other["volumes"] if v["name"] == mounts["/tmp"]]
    spec = made["volumeClaimTemplate"]["spec"]
    assert spec["resources"] == {"requests": {"storage": "200Gi"}}
    assert spec["storageClassName"] == "ascenso"


def test_a_copy_is_made_each_night() -> None:
    """As deploy/backup.sh reads it; its volume outlives the release."""
    made = parsed("production")
    (pod,) = [pod for name, pod, _ in pods(made) if name == "backup"]
    (container,) = pod["containers"]
    script = (ROOT / "deploy/backup.sh").read_text()
    assert (
        set(re.findall(r"\$\{?([A-Z_0-9]{6,})", script)) - {"AWS_ENDPOINT_URL"} <= env(pod).keys()
    )
    assert env(pod)["PGSSLMODE"] == "verify-full"
    assert container["args"][:2] == ["backup", "save"]
    folders = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]
              if "persistentVolumeClaim" in v}  # fmt: skip
    claim = named(made, "PersistentVolumeClaim")[claims[folders[container["args"][2]]]]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "backup" not in named(parsed("dev"), "CronJob")


def test_nothing_is_asked_of_a_cluster_that_lacks_the_operator() -> None:
    """A ServiceMonitor without its definition fails the whole installation."""
    kinds = {resource["kind"] for resource in parsed("production", cluster=())}
    assert not kinds & {"ServiceMonitor", "PrometheusRule"}
    assert {"ServiceMonitor", "PrometheusRule"} < {r["kind"] for r in parsed("production")}


def test_an_installation_waits_for_nothing_that_a_promotion_makes_ready() -> None:
    """Helm waits for a hook alone; a service is ready once a version of its model is promoted."""
    hooks = [
        resource["metadata"]["name"]
        for resource in parsed("production")
        if "helm.sh/hook" in resource["metadata"].get("annotations", {})
    ]
    assert hooks == ["mlflow-accounts"]


def test_secrets_may_come_from_a_vault() -> None:
    made = parsed("production", 'secret.external={"store": "vault"}')
    (secret,) = of(made, "ExternalSecret")
    assert secret["spec"]["target"] == {"name": "ascenso"}
    assert secret["spec"]["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    assert not of(parsed("production"), "ExternalSecret")


def test_what_a_team_makes_is_looked_for() -> None:
    """One pod goes on, by the file of the ConfigMap, which the server reads too."""
    given = 'registry.accounts={"configMap": "teams", "users": ["ana-gas"], "follow": 7}'
    made = parsed("production", given)
    spec = named(made, "Deployment")["mlflow-accounts"]["spec"]
    assert spec["strategy"] == {"type": "Recreate"}
    followed, job = spec["template"]["spec"], named(made, "Job")["mlflow-accounts"]["spec"]
    (file, *follows) = followed["containers"][0]["args"][3:]
    assert follows == ["--follow", "7"]
    assert job["template"]["spec"]["containers"][0]["args"][3:] == [file]
    server = mlflow("production", given)
    assert env(server)["ASCENSO_ACCOUNTS"] == file
    for one in (followed, job["template"]["spec"], server):
        mounts = {m["name"]: m["mountPath"] for m in one["containers"][0]["volumeMounts"]}
        volumes = {v["name"]: v["configMap"]["name"] for v in one["volumes"] if "configMap" in v}
        assert (mounts["accounts"], volumes["accounts"]) == (str(Path(file).parent), "teams")
    assert keys(followed)["MLFLOW_PASSWORD_ANA_GAS"] == "MLFLOW_PASSWORD_ANA_GAS"
    assert "mlflow-accounts" not in named(parsed("production"), "Deployment")

"""deploy/helm: the company's login before MLflow's pages and consoles."""

import re
from pathlib import Path

import pytest

from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.chart import env, mlflow, named, parsed, pods, rendered
from tests.deploy.judges import judge
from tests.deploy.test_helm_network import lets

ISSUER = "https://login.example.com/realms/ml"
SSO = f'sso={{"enabled": true, "issuer": "{ISSUER}", "admins": {{"groups": ["ml"]}}}}'
OIDC = set(re.findall(r"\bASCENSO_OIDC_\w+", (ROOT / "mlflow/ascenso_oidc.py").read_text()))


def backends(ingress: str) -> dict[tuple[str, str], str]:
    """Which service answers at a host and path."""
    rules = named(parsed("production", SSO), "Ingress")[ingress]["spec"]["rules"]
    return {
        (rule["host"].partition(".")[0], path["path"] + path["pathType"][0]): path["backend"][
            "service"
        ]["name"]
        for rule in rules
        for path in rule["http"]["paths"]
    }


def test_pages_lie_behind_the_login_and_calls_do_not() -> None:
    """Programs bring tokens of the services, which the proxy would take off."""
    assert backends("mlflow") == {("mlflow", "/P"): "sso-mlflow"}
    of_services = backends("services")
    of_models = {path: name for (host, path), name in of_services.items() if host == "models"}
    assert of_models.pop("/P") == "models"
    assert of_models == dict.fromkeys(("/E", "/consoleP", "/oauth2P"), "sso-models")
    assert of_services["contugas", "/P"] == "contugas"


def test_a_token_is_for_whom_it_is_checked_behind_the_proxy() -> None:
    made = parsed("production", SSO)
    (proxy,) = [pod for name, pod, _ in pods(made) if name == "sso-mlflow"]
    (container,) = proxy["containers"]
    said = {one["name"]: one.get("value") for one in container["env"]}
    server = env(mlflow("production", SSO))
    assert {name for name in server if name.startswith("ASCENSO_OIDC")} == OIDC
    assert server["ASCENSO_OIDC_ISSUER"] == said["OAUTH2_PROXY_OIDC_ISSUER_URL"] == ISSUER
    assert server["ASCENSO_OIDC_AUDIENCE"] == said["OAUTH2_PROXY_CLIENT_ID"]
    assert said["OAUTH2_PROXY_PASS_AUTHORIZATION_HEADER"] == "true"
    host = re.search("https://([^/]+)/", str(said["OAUTH2_PROXY_REDIRECT_URL"]))
    assert host
    assert host[1] in server["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    secret = {one["name"]: one["valueFrom"] for one in container["env"] if "valueFrom" in one}
    assert {ref["secretKeyRef"]["name"] for ref in secret.values()} == {"ascenso-sso"}
    (models,) = [pod for name, pod, _ in pods(made) if name == "models"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env(models).items():
            patch.setenv(name, value)
        (issuer,) = Settings().security.issuers.items()
    assert (issuer[0], issuer[1].audience) == (ISSUER, said["OAUTH2_PROXY_CLIENT_ID"])
    assert issuer[1].admins == {"groups": ["ml"]}


def test_the_proxy_reaches_what_it_stands_before(tmp_path: Path) -> None:
    made = parsed("production", SSO)
    policies = [r for r in made if r["kind"] == "NetworkPolicy"]
    labels = {name: found for name, _, found in pods(made)}
    for before, port in (("mlflow", 5000), ("models", 3000)):
        mine = labels[f"sso-{before}"]
        assert any(lets(p, "egress", mine, labels[before], port) for p in policies)
        assert any(lets(p, "ingress", labels[before], mine, port) for p in policies)
    (tmp_path / "all.yaml").write_text(rendered("production", SSO))
    judge("kubernetes-validate", "-k", "1.36", "--strict", tmp_path / "all.yaml")
    assert not [name for name, _, _ in pods(parsed("production")) if name.startswith("sso-")]
    with pytest.raises(AssertionError, match=r"sso\.issuer is empty"):
        rendered("production", 'sso={"enabled": true}')

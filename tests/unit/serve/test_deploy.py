"""The files of examples/deploy: every key is one that its format has, and what two of them say about one thing agrees."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from medicalgpt.cli import app
from medicalgpt.serve.api.gateway import KNOWN
from medicalgpt.serve.api.service import Limits

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "deploy"
ANY = object()
_META = {"name": str, "labels": ANY}
_SELECTOR = {"matchLabels": ANY}
_PROBE = {
    "httpGet": {"path": str, "port": str},
    "tcpSocket": {"port": str},
    "periodSeconds": int,
    "timeoutSeconds": int,
    "failureThreshold": int,
}
_CONTAINER = {
    "name": str,
    "image": str,
    "args": [str],
    "env": [{"name": str, "value": str}],
    "ports": [{"name": str, "containerPort": int}],
    "startupProbe": _PROBE,
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "resources": {"requests": {"cpu": str, "memory": str}, "limits": {"memory": str}},
    "securityContext": {
        "allowPrivilegeEscalation": bool,
        "readOnlyRootFilesystem": bool,
        "capabilities": {"drop": [str]},
    },
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
}
_POD = {
    "automountServiceAccountToken": bool,
    "terminationGracePeriodSeconds": int,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "fsGroup": int,
        "seccompProfile": {"type": str},
    },
    "topologySpreadConstraints": [
        {"maxSkew": int, "topologyKey": str, "whenUnsatisfiable": str, "labelSelector": _SELECTOR}
    ],
    "containers": [_CONTAINER],
    "volumes": [
        {
            "name": str,
            "persistentVolumeClaim": {"claimName": str, "readOnly": bool},
            "secret": {"secretName": str, "defaultMode": int},
            "emptyDir": {"sizeLimit": str},
        }
    ],
}
# Of the API's objects the fields that are used here, as its reference (1.32) has them; kubectl asks a cluster even to parse.
KINDS: dict[tuple[str, str], Any] = {
    ("apps/v1", "Deployment"): {
        "replicas": int,
        "selector": _SELECTOR,
        "strategy": {"type": str, "rollingUpdate": {"maxSurge": int, "maxUnavailable": int}},
        "template": {"metadata": {"labels": ANY}, "spec": _POD},
    },
    ("v1", "Service"): {"selector": ANY, "ports": [{"name": str, "port": int, "targetPort": str}]},
    ("policy/v1", "PodDisruptionBudget"): {"minAvailable": int, "selector": _SELECTOR},
    ("networking.k8s.io/v1", "NetworkPolicy"): {
        "podSelector": _SELECTOR,
        "policyTypes": [str],
        "ingress": [{"from": [{"podSelector": _SELECTOR}], "ports": [{"port": str}]}],
        "egress": [ANY],
    },
}
_SERVICE = {
    "image": str,
    "command": [str],
    "user": str,
    "environment": ANY,
    "secrets": [str],
    "volumes": [str],
    "networks": [str],
    "ports": [str],
    "depends_on": ANY,
    "stop_grace_period": str,
    "restart": str,
    "read_only": bool,
    "tmpfs": [str],
    "cap_drop": [str],
    "security_opt": [str],
    "healthcheck": {"test": [str], "interval": str, "timeout": str, "retries": int, "start_period": str},
}


def wrong(value: Any, form: Any, place: str) -> Iterator[str]:
    """Places that are not of a form: a field that it has not got, or a value of another type."""
    if form is ANY:
        return
    if isinstance(form, dict):
        if not isinstance(value, dict):
            yield f"{place} is no object"
            return
        for key, item in value.items():
            if key not in form:
                yield f"{place}.{key} is unknown"
            else:
                yield from wrong(item, form[key], f"{place}.{key}")
    elif isinstance(form, list):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for i, item in enumerate(value):
            yield from wrong(item, form[0], f"{place}.{i}")
    elif type(value) is not form:
        yield f"{place} is a {type(value).__name__}"


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    found = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def nginx() -> str:
    return (FOLDER / "nginx.conf").read_text(encoding="utf-8")


def served_by(words: list[str]) -> dict[str, Any]:
    """What a command line of `serve` says, read by the command itself; the images' entry point is `medicalgpt`."""
    assert words[0] == "serve"
    command: Any = typer.main.get_command(app)
    serve = command.commands["serve"]
    found: dict[str, Any] = serve.make_context("serve", words[1:]).params
    return found


def test_every_field_of_the_manifest_is_one_of_its_kind(objects: dict[str, Any]) -> None:
    assert set(objects) == {kind for _, kind in KINDS}
    for kind, one in objects.items():
        assert set(one) == {"apiVersion", "kind", "metadata", "spec"}
        assert list(wrong(one["metadata"], _META, kind)) == []
        assert list(wrong(one["spec"], KINDS[one["apiVersion"], kind], kind)) == []
        assert one["metadata"]["name"] == "medicalgpt"


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_images_begin_with_the_command_and_run_as_its_user(
    objects: dict[str, Any], compose: Any, name: str
) -> None:
    image = (FOLDER.parents[1] / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["medicalgpt"]' in image
    user = objects["Deployment"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in image
    assert compose["x-server"]["user"] == f"{user}:{user}"


def test_the_check_finds_what_is_wrong() -> None:
    assert list(wrong({"replica": 2}, KINDS["apps/v1", "Deployment"], "D")) == ["D.replica is unknown"]
    assert list(wrong({"replicas": "2"}, KINDS["apps/v1", "Deployment"], "D")) == ["D.replicas is a str"]
    assert list(wrong({"ports": {}}, KINDS["v1", "Service"], "S")) == ["S.ports is no list"]


def test_the_parts_of_the_manifest_find_each_other(objects: dict[str, Any]) -> None:
    spec = objects["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert objects["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
    assert re.search(r":\d[\w.-]*$", container["image"])  # a version, never what is newest


def test_the_container_is_asked_where_it_listens_and_has_time_to_finish(objects: dict[str, Any]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    how = served_by(container["args"])
    (port,) = container["ports"]
    assert (port["containerPort"], port["name"]) == (how["port"], "http")
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
    assert "/health" in KNOWN
    ready = container["readinessProbe"]
    assert how["drain"] > ready["failureThreshold"] * (ready["periodSeconds"] + ready["timeoutSeconds"])
    assert pod["terminationGracePeriodSeconds"] >= how["drain"] + how["grace"] + 10
    keys = next(m for m in container["volumeMounts"] if m["name"] == "keys")["mountPath"]
    assert str(how["api_key_file"]).startswith(keys)
    assert how["connections_per_address"] == 1024


def test_compose_says_nothing_that_it_does_not_know(compose: dict[str, Any]) -> None:
    assert set(compose) == {"name", "x-server", "services", "networks", "secrets"}
    for name, service in compose["services"].items():
        assert list(wrong(service, _SERVICE, name)) == []
        assert set(service["networks"]) <= compose["networks"].keys()
        assert set(service.get("secrets", ())) <= compose["secrets"].keys()
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    assert compose["networks"]["servers"] == {"internal": True}
    assert "ports" not in compose["x-server"]


def test_compose_and_proxy_agree(compose: dict[str, Any], nginx: str) -> None:
    servers = [name for name, service in compose["services"].items() if "command" in service]
    how = served_by(compose["services"][servers[0]]["command"])
    assert re.findall(r"^\s*server (\S+) max_fails=0;", nginx, re.MULTILINE) == [f"{x}:{how['port']}" for x in servers]
    assert set(compose["services"]["proxy"]["depends_on"]) == set(servers)
    assert compose["services"]["proxy"]["ports"] == [f"{_number(nginx, 'listen')}:{_number(nginx, 'listen')}"]
    assert int(compose["x-server"]["stop_grace_period"].rstrip("s")) >= how["drain"] + how["grace"] + 10
    assert f"127.0.0.1:{how['port']}/health" in compose["x-server"]["healthcheck"]["test"][-1]
    assert how["connections_per_address"] == 1024


def test_the_proxys_limits_are_the_servers(nginx: str) -> None:
    limits = Limits()
    assert _number(nginx, "client_max_body_size") * 2**20 == limits.max_body
    assert _number(nginx, "client_body_timeout") == limits.body_timeout
    assert _number(nginx, "proxy_read_timeout") > limits.timeout
    assert "proxy_buffering off;" in nginx
    assert "$request_uri" not in nginx
    assert "$query_string" not in nginx


def _number(text: str, name: str) -> int:
    found = re.search(rf"^\s*{name} (\d+)", text, re.MULTILINE)
    assert found, name
    return int(found.group(1))


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_its_configuration(nginx: str, tmp_path: Path) -> None:
    done = subprocess.run(["nginx", "-t", "-c", proxy_file(nginx, tmp_path, ["127.0.0.1:1", "127.0.0.1:2"], 8443)],
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "syntax is ok" in done.stderr
    assert "[warn]" not in done.stderr


def proxy_file(text: str, folder: Path, servers: list[str], port: int) -> str:
    """The configuration for these servers, with a certificate and all that it writes in a folder."""
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    named = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    places = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(["openssl", *made.split(), "-addext", named, *places], check=True, capture_output=True, timeout=60)
    addresses = iter(servers)
    text = re.sub(r"server medicalgpt-\d:8000", lambda found: f"server {next(addresses)}", text)
    text = text.replace("/etc/nginx/tls", str(folder)).replace("/tmp/nginx", str(folder / "nginx"))
    text = text.replace("/dev/stdout", str(folder / "access.log")).replace("/dev/stderr", str(folder / "error.log"))
    text = text.replace("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl")
    written = folder / "nginx.conf"
    written.write_text(text, encoding="utf-8")
    return str(written)

"""The Kubernetes manifests: what their schemas don't check, and that the check of the schemas can fail."""

import dataclasses
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from farm.coordinator.turns import POOL_PROCESSES
from farm.settings import Settings

ROOT = Path(__file__).parents[3]
BASE = ROOT / "deploy/kubernetes/base"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((BASE / "kustomization.yaml").read_text())
RESOURCES: list[dict[str, Any]] = [
    resource for name in KUSTOMIZATION["resources"] for resource in yaml.safe_load_all((BASE / name).read_text())
]
WORKLOADS = {
    resource["metadata"]["name"]: resource["spec"]["template"]["spec"]
    for resource in RESOURCES
    if resource["kind"] in ("Deployment", "StatefulSet")
}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SETTINGS = {f"FARM_{field.name.upper()}" for field in dataclasses.fields(Settings)}


@pytest.fixture(scope="module")
def manifests() -> ModuleType:
    """`deploy/manifests.py`, which is a script."""
    return script("manifests")


def script(name: str) -> ModuleType:
    """A script of deploy/, which finds its neighbours beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "deploy")
        spec = importlib.util.spec_from_file_location(name, ROOT / f"deploy/{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for neighbour in ("env", "acl", "identities"):
            sys.modules.pop(neighbour, None)
        return module


env = script("env")


def container(name: str) -> dict[str, Any]:
    (only,) = WORKLOADS[name]["containers"]
    return dict(only)


def gib(of: dict[str, Any]) -> int:
    """A container's limit of memory."""
    return int(of["resources"]["limits"]["memory"].removesuffix("Gi"))


def environment(name: str) -> dict[str, Any]:
    return {item["name"]: item for item in container(name).get("env", [])}


def test_every_file_of_the_base_is_listed() -> None:
    assert {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"} == set(KUSTOMIZATION["resources"])


def test_the_base_fits_the_schemas(manifests: ModuleType) -> None:
    assert [
        line for file in manifests.base_files() for line in manifests.problems_of(file.read_text(), file.name)
    ] == []


def test_a_misspelt_field_is_found(manifests: ModuleType) -> None:
    text = (BASE / "worker.yaml").read_text().replace("readOnlyRootFilesystem", "readOnlyRootFileSystem")
    (problem,) = manifests.problems_of(text, "worker.yaml")
    assert "Deployment/worker" in problem
    assert "readOnlyRootFileSystem" in problem


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_cpu_overlay_takes_the_gpu_away_and_nothing_else(manifests: ModuleType) -> None:
    base, cpu = (list(yaml.safe_load_all(manifests.rendered(name))) for name in manifests.KUSTOMIZATIONS)
    assert [each["kind"] for each in base] == [each["kind"] for each in cpu]
    (worker,) = [each for each in cpu if each["kind"] == "Deployment" and each["metadata"]["name"] == "worker"]
    (painter,) = worker["spec"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in painter["resources"]["limits"]
    assert {"name": "FARM_DEVICE", "value": "cpu"} in painter["env"]
    assert len({item["name"] for item in painter["env"]}) == len(painter["env"])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_without_the_secrets_files_nothing_is_built(tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "base", ignore=shutil.ignore_patterns("secrets"))
    command = ["kubectl", "kustomize", str(tmp_path / "base")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "secrets/" in done.stderr


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_every_secret_that_is_built_is_used_and_every_one_used_is_built(manifests: ModuleType) -> None:
    text = manifests.rendered("base")
    built = {each["metadata"]["name"] for each in yaml.safe_load_all(text) if each["kind"] == "Secret"}
    assert len(built) == len(KUSTOMIZATION["secretGenerator"])
    asked = re.findall(r"secretName: (\S+)|secretRef:\n\s+name: (\S+)", text)
    assert {first or second for first, second in asked} == built


def test_no_manifest_holds_a_secret() -> None:
    assert not [resource for resource in RESOURCES if resource["kind"] == "Secret"]
    files = [file for each in KUSTOMIZATION["secretGenerator"] for file in each.get("envs", each.get("files"))]
    assert all(file.startswith("secrets/") for file in files)
    assert "secrets/client.env" not in files


@pytest.mark.parametrize("name", ["coordinator", "worker", "flower", "redis", "seaweedfs"])
def test_each_part_sees_no_secret_but_its_own(name: str) -> None:
    own = {each["secretRef"]["name"] for each in container(name).get("envFrom", []) if "secretRef" in each}
    own |= {each["secret"]["secretName"] for each in WORKLOADS[name]["volumes"] if "secret" in each}
    servers = {"redis": {"redis-health", "redis-users"}, "seaweedfs": {"s3-identities"}}
    assert own == servers.get(name, {name})
    assert not [item for item in environment(name).values() if "secretKeyRef" in item.get("valueFrom", {})]


def secrets_of(file: str) -> str:
    """What `deploy/env.py` would write into a part's file."""
    return str(env.KUBERNETES[file])


@pytest.mark.parametrize("name", ["coordinator", "worker"])
def test_the_settings_know_every_variable(name: str) -> None:
    given = {line.split("=")[0] for line in KUSTOMIZATION["configMapGenerator"][0]["literals"]}
    given |= {variable for variable in environment(name) if variable.startswith("FARM_")}
    given |= set(re.findall(r"^(\w+)=", secrets_of(f"{name}.env"), re.MULTILINE))
    assert {"FARM_REDIS_URL", "FARM_S3_SECRET_KEY", "FARM_VISIBILITY_TIMEOUT_S"} <= given
    assert given <= SETTINGS


@pytest.mark.parametrize("name", ["coordinator", "worker"])
def test_the_cache_makes_room_long_before_the_kubelet_evicts_its_pod(name: str) -> None:
    (folder,) = re.findall(r"FARM_CACHE_DIR=(\S+)", (ROOT / "Dockerfile.worker").read_text())
    mounts = {mount["mountPath"]: mount["name"] for mount in container(name)["volumeMounts"]}
    sizes = {volume["name"]: volume.get("emptyDir", {}).get("sizeLimit", "") for volume in WORKLOADS[name]["volumes"]}
    volume_gb = int(sizes[mounts[folder]].removesuffix("Gi"))
    settings = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    assert 2 * int(settings["FARM_CACHE_GB"]) <= volume_gb


def test_the_keys_lead_to_the_bucket_of_the_settings() -> None:
    given = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    assert given["FARM_S3_BUCKET"] == env.identities.BUCKET


@pytest.mark.parametrize("name", ["coordinator", "worker", "flower"])
def test_each_part_connects_as_its_own_user(name: str) -> None:
    (url,) = re.findall(r"URL=(\S+)", secrets_of(f"{name}.env"))
    assert url == f"redis://{name}:{{redis_{name}}}@redis:6379/0"


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_pod_is_hardened(name: str) -> None:
    pod = WORKLOADS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_container_has_probes_and_bounds(name: str) -> None:
    assert {"startupProbe", "livenessProbe"} <= set(container(name))
    assert "memory" in container(name)["resources"]["limits"]
    assert {"cpu", "memory"} <= set(container(name)["resources"]["requests"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_mounted_volume_is_declared(name: str) -> None:
    (workload,) = [
        each for each in RESOURCES if each["kind"] in ("Deployment", "StatefulSet") and each["metadata"]["name"] == name
    ]
    claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    declared = claims | {volume["name"] for volume in WORKLOADS[name]["volumes"]}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == declared


def test_the_worker_asks_for_one_gpu() -> None:
    assert container("worker")["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_to_apply_it_again_does_not_shrink_the_farm() -> None:
    """How many workers there are is said by `kubectl scale`, which a manifest with a number would undo."""
    overlay = yaml.safe_load((ROOT / "deploy/kubernetes/overlays/cpu/worker.yaml").read_text())
    (worker,) = [each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == ("Deployment", "worker")]
    assert not {"replicas"} & (worker["spec"].keys() | overlay["spec"].keys() | KUSTOMIZATION.keys())


def test_selectors_find_their_pods() -> None:
    pods = {name: {"app.kubernetes.io/name": name} for name in WORKLOADS}
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in RESOURCES if each["kind"] == "Service"}
    budgets = {
        each["metadata"]["name"]: each["spec"]["selector"]["matchLabels"]
        for each in RESOURCES
        if each["kind"] == "PodDisruptionBudget"
    }
    assert services == {name: pods[name] for name in ("redis", "seaweedfs", "flower")}
    assert budgets == {name: pods[name] for name in ("coordinator", "worker")}


def test_everything_is_denied_that_is_not_allowed() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in RESOURCES if each["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(rule.get("from", rule.get("to")) for spec in policies.values() for rule in spec.get("ingress", []))


def test_names_are_asked_of_the_cluster_and_of_a_cache_on_the_node_and_of_nobody_else() -> None:
    (policy,) = [each["spec"] for each in RESOURCES if each["metadata"]["name"] == "allow-dns"]
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": kind, "port": 53} for kind in ("UDP", "TCP")]
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    assert rule["to"] == [system, {"ipBlock": {"cidr": "169.254.20.10/32"}}]


def test_redis_is_started_as_in_compose() -> None:
    """So what is tested of the one holds for the other."""
    assert container("redis")["args"] == COMPOSE["redis"]["command"]
    assert container("redis")["command"] == COMPOSE["redis"]["entrypoint"]
    assert container("redis")["image"] == COMPOSE["redis"]["image"]


def test_a_file_that_takes_all_it_may_does_not_have_the_coordinator_killed() -> None:
    """Its decoders are refused memory by their own limit first, as many of them as there can be at once."""
    given = dict(line.split("=", 1) for line in KUSTOMIZATION["configMapGenerator"][0]["literals"])
    decode_gib = Settings.load({name: text for name, text in given.items() if "DECODE" in name}).decode_memory_mb / 1024
    assert gib(container("coordinator")) >= (POOL_PROCESSES - 1) * decode_gib + 2


def test_redis_refuses_long_before_its_container_is_killed() -> None:
    words = container("redis")["args"]
    most_mb = int(words[words.index("--maxmemory") + 1].removesuffix("mb"))
    assert 2 * most_mb <= 1024 * gib(container("redis"))


def test_seaweedfs_is_started_as_in_compose_but_for_what_takes_root() -> None:
    (in_compose,), (in_kubernetes,) = COMPOSE["seaweedfs"]["command"], container("seaweedfs")["args"]
    as_root, rest = in_compose.replace("$$", "$").split("\n", 1)
    assert as_root.startswith("install ")
    rest = rest.replace("exec /entrypoint.sh", "exec /usr/bin/weed -logtostderr=true")
    assert in_kubernetes == rest.replace("/tmp/s3-identities.json", "/etc/farm/s3-identities.json")
    assert container("seaweedfs")["command"] == COMPOSE["seaweedfs"]["entrypoint"]
    assert container("seaweedfs")["image"] == COMPOSE["seaweedfs"]["image"]

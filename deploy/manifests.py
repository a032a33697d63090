"""Check the Kubernetes manifests, offline: every resource against the API's own schemas, strictly.

The schemas are those in the package kubernetes-validate. Where `kubectl` is installed, the base and the overlays are
rendered too, with throw-away secrets, and what comes out is checked the same way. No cluster is asked.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from env import write_kubernetes

ROOT = Path(__file__).resolve().parent / "kubernetes"
VERSION = "1.37"
KUSTOMIZATIONS = ("base", "overlays/cpu")
RENDER_TIMEOUT_S = 60


def problems_of(text: str, source: str) -> Iterator[str]:
    """One line for every resource in `text` that its schema refuses."""
    for resource in yaml.safe_load_all(text):
        if resource is None:
            continue
        name = f"{source}: {resource['kind']}/{resource['metadata']['name']}"
        try:
            kubernetes_validate.validate(resource, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(step) for step in error.path)
            yield f"{name}: {where}: {error.message}"


def base_files(root: Path = ROOT) -> list[Path]:
    """The files base/kustomization.yaml lists."""
    kustomization: dict[str, Any] = yaml.safe_load((root / "base/kustomization.yaml").read_text())
    return [root / "base" / name for name in kustomization["resources"]]


def rendered(kustomization: str, root: Path = ROOT) -> str:
    """What `kubectl kustomize` makes of a folder, with secrets made for this once."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "kubernetes"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns("secrets"))
        write_kubernetes(copy / "base/secrets")
        command = ["kubectl", "kustomize", str(copy / kustomization)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def rendered_problems(kustomization: str) -> Iterator[str]:
    """One line for every problem of a rendered kustomization."""
    try:
        yield from problems_of(rendered(kustomization), f"kustomize {kustomization}")
    except ValueError as error:
        yield f"kustomize {kustomization}: {error}"


def main() -> int:
    """Exit code 1 where a manifest is refused; one line each."""
    problems = [line for file in base_files() for line in problems_of(file.read_text(), file.name)]
    has_kubectl = shutil.which("kubectl") is not None
    if has_kubectl:
        problems += [line for name in KUSTOMIZATIONS for line in rendered_problems(name)]
    for line in problems:
        sys.stderr.write(line + "\n")
    if not problems:
        depth = "rendered by kustomize too" if has_kubectl else "not rendered: kubectl is not installed"
        sys.stdout.write(f"Kubernetes manifests valid for {VERSION} ({depth})\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

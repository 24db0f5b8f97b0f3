"""`make check-deploy`: the image definition, the compose file and the chart, looked at by the tools of their own worlds.

It runs in an environment of its own (lint.lock), with Helm's engine, the schemas of Kubernetes, hadolint and the schema of
compose files. What needs none of them is a unit test.
"""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parent
CHART = DEPLOY / "chart"
KUBERNETES_VERSIONS = ("1.28", "1.37")
"""The oldest and the newest that the chart is checked against."""
PROGRAMS = Path(sys.executable).parent
VALUES: tuple[dict[str, Any], ...] = (
    {},
    {
        "ingress": {"enabled": True, "className": "nginx", "host": "forge.example.com", "tlsSecret": "tls"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "imagePullSecrets": [{"name": "registry"}],
        "processes": {"workers": {"env": [{"name": "OPENAI_API_KEY", "value": "k"}]}},
    },
    {"networkPolicy": {"enabled": False}, "podDisruptionBudget": {"enabled": False}, "front": {"replicas": 1}},
)
REFUSED: tuple[dict[str, Any], ...] = (
    {"processes": {"catalog": {"replicas": 3}}},
    {"settings": {"FLOWFORGE_NATS_URL": "nats://login:password@host"}},
    {"credentials": {"existingSecret": ""}},
    {"imagine": 1},
)
"""Values that the chart's schema must not let pass."""


def faults_of_image() -> Iterator[str]:
    """What hadolint finds."""
    yield from _said([str(PROGRAMS / "hadolint"), str(DEPLOY / "Dockerfile")])


def faults_of_compose() -> Iterator[str]:
    """Where the file does not fit the schema of compose files."""
    program = [str(PROGRAMS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    yield from _said([*program, str(DEPLOY / "compose.yaml")])


def faults_of_chart() -> Iterator[str]:
    """What `helm lint` finds, objects that Kubernetes would not take, and values that ought to be refused."""
    helm: Any = importlib.import_module("helm_python")
    yield from (str(message) for message in helm.lint(str(CHART))["errors"])
    with helm.Chart.load(str(CHART)) as chart:
        for values in VALUES:
            chart.validate_schema(chart.merge_values(values))
            for file, text in chart.render(values, name="try", namespace="try").items():
                if file.endswith(".yaml"):
                    yield from _faults_of_objects(file, text)
        for values in REFUSED:
            try:
                chart.validate_schema(chart.merge_values(values))
            except helm.HelmError:
                continue
            yield f"values.schema.json lets pass: {values}"


def _faults_of_objects(file: str, text: str) -> Iterator[str]:
    kubernetes: Any = importlib.import_module("kubernetes_validate")
    yaml: Any = importlib.import_module("yaml")
    for each in yaml.safe_load_all(text):
        for version in KUBERNETES_VERSIONS if each else ():
            try:
                kubernetes.validate(each, version, strict=True)
            except kubernetes.ValidationError as fault:
                yield f"{file}, {each.get('kind')} for Kubernetes {version}: {fault}"


def _said(command: list[str]) -> Iterator[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield (done.stdout + done.stderr).strip()


def main() -> int:
    """Print every fault; 0 only where there is none."""
    faults = [*faults_of_image(), *faults_of_compose(), *faults_of_chart()]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""The files of `deploy/`, read: units of systemd, environments, templates, compose services, manifests of Kubernetes."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["DEPLOY", "ROOT", "compose", "environment", "expanded", "filled", "manifests", "unit"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def environment(path: Path) -> dict[str, str]:
    """The variables of a file of `NAME=value` lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line.strip() and not line.startswith("#"))
    return {name: value for name, sign, value in pairs if sign}


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """The settings of a unit of systemd: section → name → values in their order."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in (DEPLOY / "systemd" / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line.strip() and not line.startswith("#"):
            key, sign, value = line.partition("=")
            assert sign, f"{name}: {line!r}"
            section.setdefault(key, []).append(value)
    return found


def expanded(command: str | list[str], values: Mapping[str, str]) -> list[str]:
    """The words of a command whose `${NAME}` or `$(NAME)` have their values; `${NAME:-default}` may have a default."""
    words = shlex.split(command) if isinstance(command, str) else command

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        return values[name] if default is None else values.get(name) or default

    return [re.sub(r"\$[{(]([A-Z_]+)(?::-([^})]*))?[})]", value, word) for word in words]


def filled(template: Path, values: Mapping[str, str]) -> str:
    """A template of nginx with values in the place of `${NAME}`, as `envsubst` fills it in."""
    return re.sub(r"\$\{([A-Z_]+)\}", lambda match: values[match[1]], template.read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    """The services of `compose.yaml`, by name."""
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services: dict[str, Any] = content["services"]
    return services


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, object) of everything that the kustomization lists, and of the example of a secret."""
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    for name in [*listed, "secret.example.yaml"]:
        for one in yaml.safe_load_all((folder / name).read_text(encoding="utf-8")):
            yield name, one

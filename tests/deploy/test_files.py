"""The files of the kit are what their programs read; a program that this machine lacks is left out."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.kit import DEPLOY, compose, environment, filled, manifests, unit
from tests.deploy.starting import certificate, nginx_configuration


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} on this machine")


def outcome(*command: str | Path) -> str:
    """What a program complains about; nothing if it is content."""
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout + found.stderr if found.returncode else ""


def test_every_manifest_is_in_the_kustomization():
    files = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert files == {name for name, _ in manifests()}
    names = {(one["kind"], one["metadata"]["name"]) for _, one in manifests()}
    assert {("Deployment", "foldin"), ("Service", "foldin"), ("CronJob", "foldin-nightly")} <= names
    assert ("PodDisruptionBudget", "foldin") in names


def test_what_the_manifests_refer_to_is_there():
    claims = {one["metadata"]["name"] for _, one in manifests() if one["kind"] == "PersistentVolumeClaim"}
    secrets = {one["metadata"]["name"] for _, one in manifests() if one["kind"] == "Secret"}
    accounts = {one["metadata"]["name"] for _, one in manifests() if one["kind"] == "ServiceAccount"}
    generated = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    maps = {one["name"] for one in generated["configMapGenerator"]}
    for kind in ("Deployment", "CronJob"):
        (one,) = (one for _, one in manifests() if one["kind"] == kind)
        spec = one["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else one["spec"]
        pod = spec["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
        assert volumes["runs"]["persistentVolumeClaim"]["claimName"] in claims
        assert {source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source} <= maps
        assert {source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source} <= secrets
        assert pod["serviceAccountName"] in accounts
        if kind == "Deployment":
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()


def test_compose_mounts_files_that_there_are():
    for name, service in compose().items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), (name, source)


def test_the_service_and_the_job_of_systemd_find_the_same_files():
    service, job = unit("foldin.service")["Service"], unit("foldin-nightly.service")["Service"]
    for key in ("User", "Group", "EnvironmentFile", "StateDirectory", "CacheDirectory", "UMask"):
        assert service[key] == job[key]
    run = Path(environment(DEPLOY / "foldin.env")["FOLDIN_RUN"])
    kept = [Path("/var/lib") / word for word in " ".join(job["StateDirectory"]).split()]
    assert run.parent in kept
    assert service["ReadOnlyPaths"] == [str(run.parent)]
    assert service["Restart"] == ["always"]


def seconds(span: str) -> int:
    """Seconds of a span of time of systemd."""
    number, sign = re.fullmatch(r"(\d+)(s|min|h)?", span).groups()
    return int(number) * {None: 1, "s": 1, "min": 60, "h": 3600}[sign]


def test_a_night_that_fails_is_tried_again_but_not_for_ever():
    about, job = unit("foldin-nightly.service")["Unit"], unit("foldin-nightly.service")["Service"]
    assert job["Restart"] == ["on-failure"]
    (burst,), (interval,), (pause,) = about["StartLimitBurst"], about["StartLimitIntervalSec"], job["RestartSec"]
    assert int(burst) * seconds(pause) < seconds(interval)  # failing at once, it comes to the limit, and stays failed
    assert int(pause) * (int(burst) - 1) >= 1200  # and a database that is away for a quarter of an hour is waited for
    (late,) = unit("foldin-nightly.timer")["Timer"]["RandomizedDelaySec"]
    assert seconds(interval) + seconds(late) < 24 * 3600  # the starts of a night do not count in the next one
    assert seconds(*job["TimeoutStartSec"]) <= seconds(interval)
    assert unit("foldin.service")["Unit"]["StartLimitIntervalSec"] == ["0"]
    (night,) = (one for _, one in manifests() if one["kind"] == "CronJob")
    assert night["spec"]["jobTemplate"]["spec"]["backoffLimit"] < int(burst)


def test_kubernetes_knows_every_field():
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("no kubernetes-validate in this environment")
    import kubernetes_validate

    for _, one in manifests():
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


@needs("hadolint")
def test_hadolint_has_nothing_against_the_dockerfile():
    assert outcome("hadolint", DEPLOY / "Dockerfile") == ""


@needs("kubectl")
def test_kustomize_puts_the_manifests_together():
    assert outcome("kubectl", "kustomize", DEPLOY / "kubernetes") == ""


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path):
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/foldin/bin/", f"{tmp_path}/")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    for name in ("foldin", "foldin-nightly"):
        shutil.copy("/bin/true", tmp_path / name)
    units = [tmp_path / name for name in ("foldin.service", "foldin-nightly.service", "foldin-nightly.timer")]
    found = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    # It also reads the machine's units, and says what it has against those.
    ours = [line for line in found.stderr.splitlines() if "foldin" in line and "Failed to" not in line]
    assert ours == []


@needs("nginx")
@needs("openssl")
def test_nginx_takes_the_configuration(tmp_path):
    values = {**environment(DEPLOY / "nginx" / "nginx.env"), **certificate(tmp_path), "FOLDIN_LOGS": str(tmp_path)}
    path = nginx_configuration(tmp_path, filled(DEPLOY / "nginx" / "foldin.conf.template", values))
    assert outcome("nginx", "-t", "-q", "-p", tmp_path, "-c", path) == ""

"""The commands of the kit: units, containers and pods start the same service, with options that it knows."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.core import ParameterSource
from starlette.routing import Route

from foldin.cli.fit import command as fit
from foldin.cli.serve import command as serve
from foldin.models import MODELS
from foldin.serve import EventStore, KeyRing, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.server import configuration
from foldin.serve.storage.keys import SCOPES
from foldin.serve.studio.routes import pages
from tests.deploy.kit import DEPLOY, ROOT, compose, environment, expanded, filled, manifests, unit

SERVICE, NIGHTLY = "foldin.service", "foldin-nightly.service"
HOST, PODS = DEPLOY / "foldin.env", DEPLOY / "kubernetes" / "foldin.env"


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = (one for _, one in manifests() if one["kind"] == kind)
    return found


def container(kind: str) -> dict[str, Any]:
    spec = of_kind(kind)["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    (found,) = spec["template"]["spec"]["containers"]
    return found


def serving() -> dict[str, list[str]]:
    """The command of the service, wherever it is started."""
    (line,) = unit(SERVICE)["Service"]["ExecStart"]
    return {
        "systemd": expanded(line, environment(HOST)),
        "compose": expanded(compose()["foldin"]["command"], {}),
        "kubernetes": expanded(container("Deployment")["args"], environment(PODS)),
    }


def given(where: str) -> dict[str, Any]:
    """The options that a command gives to `foldin serve`, read by the program itself."""
    program, name, *arguments = serving()[where]
    assert (Path(program).name, name) == ("foldin", "serve")
    context = serve.make_context("serve", arguments)
    source = context.get_parameter_source
    return {key: value for key, value in context.params.items() if source(key) is ParameterSource.COMMANDLINE}


def test_units_containers_and_pods_start_the_same_service():
    found = {where: given(where) for where in serving()}
    hosts = {where: one.pop("host") for where, one in found.items()}
    urls = {where: one.pop("url") for where, one in found.items()}
    assert found["systemd"] == found["compose"] == found["kubernetes"]
    assert hosts == {"systemd": "127.0.0.1", "compose": "0.0.0.0", "kubernetes": "0.0.0.0"}
    assert all(url.startswith("postgresql://foldin@") for url in urls.values())  # without a password
    assert found["systemd"]["runs"] == ("/var/lib/foldin/runs/shop",)
    assert found["systemd"]["workers"] == 2


def test_a_worker_has_one_thread_wherever_it_is_started():
    (given,) = [one for one in unit(SERVICE)["Service"]["Environment"] if one.startswith("OMP_NUM_THREADS")]
    (pod,) = [one["value"] for one in container("Deployment")["env"] if one["name"] == "OMP_NUM_THREADS"]
    assert given == f"OMP_NUM_THREADS={pod}"
    assert compose()["foldin"]["environment"]["OMP_NUM_THREADS"] == pod == "1"


def test_all_ports_are_that_of_the_service():
    port, text = given("compose")["port"], (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^EXPOSE (\d+)$", text, re.MULTILINE)[1] == str(port)
    assert f"http://127.0.0.1:{port}/readyz" in text
    assert compose()["foldin"]["expose"] == [str(port)]
    assert compose()["nginx"]["environment"]["FOLDIN_UPSTREAM"].split()[0] == f"foldin:{port}"
    assert environment(DEPLOY / "nginx" / "nginx.env")["FOLDIN_UPSTREAM"] == f"127.0.0.1:{port}"
    assert f'targets: ["foldin:{port}"]' in (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    (named,), (offered,) = container("Deployment")["ports"], of_kind("Service")["spec"]["ports"]
    assert named == {"name": "http", "containerPort": port}
    assert (offered["targetPort"], offered["port"]) == ("http", port)
    (rule,) = of_kind("Ingress")["spec"]["rules"]
    backend = {"service": {"name": "foldin", "port": {"name": "http"}}}
    assert all(one["backend"] == backend for one in rule["http"]["paths"])
    probes = {
        container("Deployment")[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    assert probes == {"/healthz", "/readyz"}


def test_every_variable_is_used_and_every_used_one_is_given():
    known = set(re.findall(r"[A-Z_]+\b", (ROOT / "src/foldin/data/fetch.py").read_text(encoding="utf-8")))
    used = {"FOLDIN_CACHE"} & known
    for name in (SERVICE, NIGHTLY):
        used |= set(re.findall(r"\$\{([A-Z_]+)\}", " ".join(unit(name)["Service"]["ExecStart"])))
    used |= set(re.findall(r"\$\{?(FOLDIN_[A-Z_]+)", (DEPLOY / "foldin-nightly").read_text(encoding="utf-8")))
    assert set(environment(HOST)) == set(environment(PODS)) == used
    assert set(compose()["nightly"]["environment"]) == {
        *re.findall(r"^# (FOLDIN_\w+) ", (DEPLOY / "foldin-nightly").read_text(encoding="utf-8"), re.MULTILINE),
        *("FOLDIN_CACHE", "PGPASSWORD"),
    }
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = dict(re.findall(r"\$\{([A-Z_]+):([-?])", text))
    assert len(re.findall(r"(?<!\$)\$\{", text)) == len(re.findall(r"\$\{[A-Z_]+:[-?]", text))
    assert set(environment(DEPLOY / "compose.env")) <= set(asked)
    assert {name for name, sign in asked.items() if sign == "?"} == {"PGPASSWORD"}
    template = (DEPLOY / "nginx" / "foldin.conf.template").read_text(encoding="utf-8")
    names = set(re.findall(r"\$\{([A-Z_]+)\}", template))
    assert names == set(environment(DEPLOY / "nginx" / "nginx.env"))
    assert names == set(compose()["nginx"]["environment"]) - {"NGINX_ENVSUBST_FILTER"}


def test_no_file_holds_a_password():
    for path in (one for one in DEPLOY.rglob("*") if one.is_file()):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"PGPASSWORD(=|: )['\"]?[^\s'\"$…]", text), path
        assert not re.search(r"//\w+:[^@/\s]+@", text), path


def test_the_image_is_made_of_what_there_is_and_runs_as_nobody_else():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [one.split() for one in re.findall(r"^COPY ((?!--from).+)$", text, re.MULTILINE)]
    sources = {word for words in copied for word in words[:-1] if not word.startswith("--")}
    assert sources == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)
    extras = re.search(r"'\.\[([\w,]+)\]'", text)[1].split(",")
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert set(extras) <= set(tomllib.load(file)["project"]["optional-dependencies"])
    user = re.search(r"^USER (\d+):(\d+)$", text.partition("FROM ${BASE}\n")[2], re.MULTILINE)
    pods = [of_kind("Deployment")["spec"]["template"], of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]]
    for pod in pods:
        context = pod["spec"]["securityContext"]
        assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
        assert context["runAsNonRoot"] is True


def test_nginx_and_the_ingress_have_the_limits_of_the_service():
    text = (DEPLOY / "nginx" / "foldin.conf.template").read_text(encoding="utf-8")
    of = dict(re.findall(r"^\s*(\w+)\s+(\S+);$", text, re.MULTILINE))
    of_ingress = of_kind("Ingress")["metadata"]["annotations"]
    prefix, limits = "nginx.ingress.kubernetes.io/", Limits()
    mebibytes = {of["client_max_body_size"], of["client_body_buffer_size"], of_ingress[f"{prefix}proxy-body-size"]}
    assert mebibytes == {f"{limits.body >> 20}m"}
    assert "body: at most 1 MiB" in text
    for seconds in (of["proxy_read_timeout"].removesuffix("s"), of_ingress[f"{prefix}proxy-read-timeout"]):
        assert int(seconds) > limits.wait
    kept = configuration(None, host="", port=0).timeout_keep_alive
    upstream = re.search(r"upstream foldin \{.*?keepalive_timeout (\d+)s;", text, re.DOTALL)
    assert int(upstream[1]) < kept


def test_nginx_of_containers_resolves_the_service_again():
    nginx = compose()["nginx"]
    release = tuple(map(int, re.fullmatch(r"nginx:(\d+)\.(\d+)-\w+", nginx["image"]).groups()))
    assert release >= (1, 28)  # `resolve` and a resolver of an upstream came with 1.27.3
    text = filled(DEPLOY / "nginx" / "foldin.conf.template", nginx["environment"])
    upstream = re.search(r"upstream foldin \{(.*?)\}", text, re.DOTALL)[1]
    directives = [" ".join(one.split()) for one in upstream.split(";") if one.strip()]
    assert "server foldin:8000 resolve" in directives
    assert "resolver 127.0.0.11 valid=5s" in directives  # Docker's, whose answers would be valid for ten minutes
    assert any(one.startswith("zone ") for one in directives)  # without which addresses cannot change
    host = filled(DEPLOY / "nginx" / "foldin.conf.template", environment(DEPLOY / "nginx" / "nginx.env"))
    assert "resolve" not in re.sub(r"#.*", "", host)  # which nginx of Debian 12 does not know


def test_the_ingress_admits_all_paths_of_the_service_but_the_metrics(tmp_path):
    (rule,) = of_kind("Ingress")["spec"]["rules"]
    prefixes = [one["path"] for one in rule["http"]["paths"] if one["pathType"] == "Prefix"]
    exact = {one["path"] for one in rule["http"]["paths"] if one["pathType"] == "Exact"}
    assert len(prefixes) + len(exact) == len(rule["http"]["paths"])
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    app = make_app(Service(Registry(), EventStore(engine), Limits(), Telemetry()), KeyRing(engine))
    paths = {route.path for router in (app, pages()) for route in router.routes if isinstance(route, Route)}
    paths |= set(app.openapi()["paths"])
    engine.dispose()
    assert {"/metrics", "/v1/recommendations", "/studio/{name}", "/openapi.json"} <= paths
    refused = {path for path in paths if path not in exact and not any(path.startswith(f"{one}/") for one in prefixes)}
    assert refused == {"/metrics"}


def test_the_night_is_at_the_same_time_everywhere():
    (calendar,) = unit("foldin-nightly.timer")["Timer"]["OnCalendar"]
    clock = environment(DEPLOY / "compose.env")["FOLDIN_NIGHT"]
    hour, minute = clock.split(":")
    assert calendar == f"*-*-* {clock}:00"
    assert of_kind("CronJob")["spec"]["schedule"] == f"{int(minute)} {int(hour)} * * *"
    assert compose()["nightly"]["command"] == ["foldin-nightly", f"${{FOLDIN_NIGHT:-{clock}}}"]
    assert container("CronJob")["args"] == ["foldin-nightly"]


@pytest.mark.parametrize(("ends", "status"), [(0, 0), (3, 0), (2, 2)])
def test_the_nightly_job_calls_fit_and_a_run_that_stays_is_no_failure(tmp_path, ends, status):
    program = tmp_path / "foldin"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/called\nexit {ends}\n')
    program.chmod(0o755)
    options = {"FOLDIN_FIT_OPTIONS": "--set epochs=3 --undecided fresh"}
    variables = {**environment(HOST), **options, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run([DEPLOY / "foldin-nightly"], env=variables, check=False).returncode == status
    name, *arguments = (tmp_path / "called").read_text().splitlines()
    assert name == "fit"
    read = fit.make_context("fit", arguments).params
    assert (read["path"], read["replaced"]) == (variables["FOLDIN_EVENTS"], variables["FOLDIN_RUN"])
    assert (read["everyone"], read["as_json"], read["undecided"]) == (True, True, "fresh")
    assert read["if_better"] == variables["FOLDIN_IF_BETTER"]
    assert read["texts"] == ("epochs=3",)
    assert read["name"] in MODELS


def test_the_nightly_job_waits_for_its_hour(tmp_path):
    for name, text in {
        "foldin": f"echo called >> {tmp_path}/log",
        "sleep": f'echo "$1" >> {tmp_path}/log; [ "$(wc -l < {tmp_path}/log)" -lt 3 ] || kill $PPID',
        "date": 'case "$*" in +%s) echo 1000;; *today*) echo 900;; *tomorrow*) echo 87300;; esac',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    variables = {**environment(HOST), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([DEPLOY / "foldin-nightly", "03:15"], env=variables, check=False, timeout=10)
    assert (tmp_path / "log").read_text().split() == ["86300", "called", "86300"]


def test_the_page_gives_commands_that_the_kit_has():
    page = (ROOT / "docs/guide/deploy.md").read_text(encoding="utf-8")
    for path in re.findall(r"\bdeploy/[\w./-]+", page):
        assert list(ROOT.glob(f"{path.rstrip('./')}*")), path
    for scope in re.findall(r"--scope (\w+)", page):
        assert scope in SCOPES

"""The kit on this machine: what an administrator sets up, by the files of `deploy/` with other paths and ports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.kit import DEPLOY, compose, environment, expanded, filled, unit
from tests.deploy.starting import Kept, certificate, free_port, nginx_configuration, until
from tests.serve.postgres import Postgres
from tests.serve.processes import children

__all__ = ["Kit"]

MODEL = {"FOLDIN_MODEL": "ease", "FOLDIN_FIT_OPTIONS": "--set regularization=10 --device cpu"}


class Kit:
    """What an administrator has set up: a database, settings, a certificate, programs."""

    def __init__(self, folder: Path, database: Postgres) -> None:
        self.folder, self.database = folder, database
        self.url = f"postgresql://foldin@127.0.0.1:{database.port}/foldin"
        self.kept: dict[str, Kept] = {}
        programs = folder / "bin"
        programs.mkdir()
        (programs / "foldin").write_text(f'#!/bin/sh\nexec {sys.executable} -m foldin "$@"\n')
        (programs / "foldin").chmod(0o755)
        shutil.copy(DEPLOY / "foldin-nightly", programs)
        self.run = folder / "runs" / "shop"
        self.ports = {"FOLDIN_HTTP": free_port(), "FOLDIN_HTTPS": free_port()}
        own = {"FOLDIN_EVENTS": self.url, "FOLDIN_RUN": str(self.run), "FOLDIN_PORT": str(free_port()), **MODEL}
        path = {"PATH": f"{programs}:{os.environ['PATH']}", "FOLDIN_CACHE": str(folder / "cache")}
        self.environment = {**os.environ, **environment(DEPLOY / "foldin.env"), **own, **path}
        self.address = f"https://localhost:{self.ports['FOLDIN_HTTPS']}"

    def of_unit(self, name: str) -> Kept:
        """A unit, started."""
        (line,) = unit(name)["Service"]["ExecStart"]
        command = expanded(line.replace("/opt/foldin/bin", str(self.folder / "bin")), self.environment)
        return Kept(command, name, self.folder / f"{name}.log", self.environment)

    def start_database(self) -> None:
        options = [word for word in compose()["postgres"]["command"][1:] if word != "-c"]
        where = [
            f"listen_addresses=127.0.0.1,port={self.database.port}",
            f"unix_socket_directories={self.database.folder}",
        ]
        settings = [one for text in (*options, *where) for one in text.split(",")]
        command = [str(self.database.binaries / "postgres"), "-D", str(self.database.folder / "data")]
        command += [word for one in settings for word in ("-c", one)]
        user = "postgres" if os.geteuid() == 0 else None
        log = self.folder / "postgres.log"
        self.kept["postgres"] = Kept(command, "restart.conf", log, {"PATH": os.environ["PATH"]}, user=user)
        self.wait_for_database()

    def wait_for_database(self) -> None:
        command = [str(self.database.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.database.port)]
        until(lambda: subprocess.run(command, check=False).returncode == 0, "PostgreSQL answers")

    def start_nginx(self) -> None:
        ports = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        own = {"FOLDIN_UPSTREAM": f"127.0.0.1:{self.environment['FOLDIN_PORT']}", "FOLDIN_LOGS": str(self.folder)}
        values = {**environment(DEPLOY / "nginx" / "nginx.env"), **ports, **own, "FOLDIN_SERVER_NAME": "localhost"}
        values |= certificate(self.folder)
        path = nginx_configuration(self.folder, filled(DEPLOY / "nginx" / "foldin.conf.template", values))
        command = [shutil.which("nginx") or "nginx", "-p", str(self.folder), "-c", str(path)]
        self.kept["nginx"] = Kept(command, "restart.conf", self.folder / "nginx.log", {"PATH": os.environ["PATH"]})

    def workers(self) -> list[int]:
        return children(self.kept["foldin"].pid)

    def end(self) -> None:
        for one in reversed(self.kept.values()):
            if not one.over:
                one.end()

"""A PostgreSQL server for tests, from the system's own package."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

__all__ = ["Postgres", "emptied"]


class Postgres:
    """A server with data of its own in a temporary folder, on loopback."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="foldin-pg"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://foldin@127.0.0.1:{self.port}/postgres"
        self._as: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.folder, "postgres")
            self._as = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "foldin", "-A", "trust", "--no-sync")

    @classmethod
    def find(cls) -> "Postgres | None":
        """One, where the system has the package."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        return cls(found[-1].parent) if found else None

    def _run(self, name: str, *arguments: str) -> None:
        command = [*self._as, str(self.binaries / name), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Begin to answer."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        """Go away at once, as in a crash."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def remove(self) -> None:
        """Go away, with everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def emptied(engine: sa.Engine) -> None:
    """Delete what tests wrote into the PostgreSQL that they share. A file of SQLite is each test's own."""
    if engine.dialect.name == "postgresql":
        there = set(sa.inspect(engine).get_table_names())
        tables = [
            f"foldin_{one}"
            for one in (
                "events",
                "batches",
                "keys",
                "deployments",
                "changes",
                "impressions",
                "erasures",
                "experiment_users",
                "experiment_events",
                "retirements",
                "items",
                "item_lists",
            )
        ]
        found = [one for one in tables if one in there]
        with engine.begin() as connection:
            if found:
                connection.exec_driver_sql(f"TRUNCATE {', '.join(found)}")
            if "foldin_revision" in there:
                connection.exec_driver_sql("UPDATE foldin_revision SET revision = 0")

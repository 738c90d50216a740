"""Processes that are started and started again as the units of systemd say, without systemd."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.deploy.kit import unit

__all__ = ["Kept", "certificate", "ended_well", "free_port", "nginx_configuration", "until"]


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0, pause: float = 0.05) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come about: {what}"
        time.sleep(pause)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def certificate(folder: Path) -> dict[str, str]:
    """A certificate of its own for `localhost`, and where nginx finds it."""
    paths = {"FOLDIN_CERTIFICATE": str(folder / "tls.pem"), "FOLDIN_CERTIFICATE_KEY": str(folder / "tls.key")}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    where = ["-keyout", paths["FOLDIN_CERTIFICATE_KEY"], "-out", paths["FOLDIN_CERTIFICATE"]]
    named = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, *where, *named], check=True, capture_output=True)
    return paths


def nginx_configuration(folder: Path, of_foldin: str) -> Path:
    """A configuration of nginx that includes that of foldin as `/etc/nginx/nginx.conf` includes `conf.d`."""
    (folder / "foldin.conf").write_text(of_foldin, encoding="utf-8")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""  # a user that may enter the folder
    path.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{temporary}include {folder}/foldin.conf;\n}}\n",
        encoding="utf-8",
    )
    return path


class Kept:
    """A process that is started again after its end, as its unit says; what it leaves behind is killed before, as systemd does.

    Args:
        command: words of the command.
        unit_file: unit or drop-in whose `Restart` and `RestartSec` hold.
        log: file of its output.
        environment: its variables.
        longest: largest pause before a restart, in seconds.
        user: name of the user that it runs as, if not the same.
    """

    def __init__(
        self,
        command: Sequence[str],
        unit_file: str,
        log: Path,
        environment: Mapping[str, str],
        *,
        longest: float = 1.0,
        user: str | None = None,
    ) -> None:
        settings = unit(unit_file)["Service"]
        (self._policy,), (pause,) = settings["Restart"], settings["RestartSec"]
        self._pause = min(float(pause), longest)
        self._command, self._log, self._environment, self._user = command, log, environment, user
        self.starts, self._ending = 0, threading.Event()
        self.process = self._start()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def over(self) -> bool:
        """Whether it has ended and is not started again."""
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Kill the main process, and wait until another one is started."""
        before = self.starts
        self.process.send_signal(signal.SIGKILL)
        until(lambda: self.starts > before, f"{self._command[0]} is started again")

    def end(self) -> int:
        """End the process, as `systemctl stop` does. Returns its status."""
        self._ending.set()
        self.process.terminate()
        self._thread.join(60)
        assert self.over, f"{self._command[0]} does not end"
        return self.process.returncode

    def text(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )
        self.starts += 1
        return process

    def _keep(self) -> None:
        while True:
            status = self.process.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            if self._ending.is_set() or (self._policy == "on-failure" and status == 0):
                return
            if self._ending.wait(self._pause):
                return
            self.process = self._start()
            if self._ending.is_set():
                self.process.terminate()


def ended_well(job: Kept) -> bool:
    """Whether a job is done, after which it is not started again."""
    return job.over and job.process.returncode == 0

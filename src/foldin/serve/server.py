"""Start of the service: checks before a port is opened, the server process, and the watch over the run directories."""

import gc
import ipaddress
import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from foldin.errors import ConfigError
from foldin.serve.api.app import make_app
from foldin.serve.engine.registry import Registry, digest_in
from foldin.serve.engine.service import Service
from foldin.serve.limits import Limits
from foldin.serve.storage.event_store import EventStore, connect
from foldin.serve.storage.keys import KeyRing
from foldin.serve.telemetry import Telemetry

__all__ = ["Watcher", "build", "check_address", "run"]

logger = logging.getLogger("foldin.serve")


def check_address(host: str, *, open_to_all: bool, has_keys: bool) -> None:
    """Raise unless the service may listen on this address.

    Raises:
        ConfigError: access without keys on another address than the loopback address, or no key and no `open_to_all`.
    """
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if open_to_all and not local:
        raise ConfigError(
            f"--no-keys is only allowed on the loopback address; {host} can be reached from other machines"
        )
    if not open_to_all and not has_keys:
        raise ConfigError(
            "there is no key yet; create one with `foldin keys add`, or give --no-keys on the loopback address"
        )


class Watcher:
    """Deploys a run again when its folder contains a new run.

    Args:
        registry: registry of the models in service.
        folders: run directories by name.
        seconds: time between two checks.
    """

    def __init__(self, registry: Registry, folders: dict[str, Path], *, seconds: float = 2.0) -> None:
        self.registry, self.folders, self.seconds = registry, folders, seconds
        # Digests at the last check. A model that was rolled back or replaced over HTTP therefore stays in service.
        self._seen = {name: str(registry.get(name).run.info["digest"]) for name in folders}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foldin-watch", daemon=True)

    def start(self) -> None:
        """Start the checks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the checks."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Check once: a run with a new digest is loaded. For a damaged one, a line is logged and the old one stays in service."""
        for name, folder in self.folders.items():
            digest = digest_in(folder)
            if digest in (None, self._seen[name]):
                continue
            self._seen[name] = str(digest)
            try:
                self.registry.deploy(folder, name)
                logger.info(json.dumps({"deployed": name, "run": str(digest)[:12]}))
            except Exception as error:  # after any error, the old model stays in service and the watch continues
                logger.warning(json.dumps({"refused": name, "error": str(error)}))

    def _run(self) -> None:
        while not self._stop.wait(self.seconds):
            self.look()


def build(
    runs: Sequence[Path],
    url: str,
    *,
    open_to_all: bool,
    host: str,
    limits: Limits,
    device: str,
    rankers: Mapping[str, str] | None = None,
) -> tuple[FastAPI, Service, Watcher]:
    """The application, its service, and the watcher of the run directories.

    Args:
        rankers: names of rankers by name of the model; "" for all other models.

    Raises:
        ConfigError: no run, two runs of one name, an address that is not allowed, an invalid URL of the database, a ranker
            for a model that is not served, or a capability that the ranker needs and its model lacks.
        RunError: a run cannot be loaded.
        EventStoreError: the database cannot be used.
    """
    folders = {folder.resolve().name: folder.resolve() for folder in runs}
    if not runs or len(folders) != len(runs):
        raise ConfigError(f"runs of different names were expected, not {', '.join(map(str, runs)) or 'none'}")
    engine = connect(url)
    events, ring = EventStore(engine), KeyRing(engine)
    check_address(host, open_to_all=open_to_all, has_keys=bool(ring.names()))
    strangers = set(rankers or {}) - {"", *folders}
    if strangers:
        raise ConfigError(f"a ranker was given for {min(strangers)!r}; there are {', '.join(folders)}")
    registry = Registry(device=device, queued=limits.queued, rankers=rankers)
    for folder in folders.values():
        registry.deploy(folder)
    service = Service(registry, events, limits, Telemetry())
    roots = tuple({folder.parent for folder in folders.values()})
    return make_app(service, None if open_to_all else ring, roots=roots), service, Watcher(registry, folders)


def run(app: FastAPI, watcher: Watcher, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; waiting requests are still answered.

    Args:
        ready: called with the address once the port is open.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        server_header=False,
        h11_max_incomplete_event_size=64 << 10,
    )
    # A model's thread releases Python's lock at every tensor operation; by default, it would wait 5 ms each time to get it back.
    sys.setswitchinterval(1e-4)
    # Objects that exist now stay: the garbage collector need not visit them each time, which takes tens of milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a request makes about as many objects as the default of 700
    watcher.start()
    server = uvicorn.Server(config)
    started = threading.Thread(target=_announce, args=(server, host, port, ready), daemon=True)
    started.start()
    try:
        server.run()
    finally:
        watcher.stop()
        logger.removeHandler(handler)


def _announce(server: uvicorn.Server, host: str, port: int, ready: Callable[[str], None]) -> None:
    pause = threading.Event()
    while not server.started and not server.should_exit:
        pause.wait(0.02)
    if server.started:
        found = server.servers[0].sockets[0].getsockname()[1] if port == 0 else port
        ready(f"http://{f'[{host}]' if ':' in host else host}:{found}")

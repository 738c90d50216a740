"""Start of the service: checks before a port is opened, the models in service, and the server process."""

import gc
import ipaddress
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from foldin.errors import ConfigError
from foldin.runs import is_url, name_of_run
from foldin.serve.api.app import make_app
from foldin.serve.engine.drift import DriftWatch
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.impressions import ImpressionLog, ListLogging
from foldin.serve.engine.item_lists import ItemLists
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.service import Service
from foldin.serve.engine.watcher import Watcher, deploy_given
from foldin.serve.limits import Buckets, Limits
from foldin.serve.storage.deployments import DeploymentStore
from foldin.serve.storage.event_store import EventStore, connect
from foldin.serve.storage.impressions import ImpressionStore
from foldin.serve.storage.item_lists import ItemListStore
from foldin.serve.storage.keys import KeyRing
from foldin.serve.telemetry import Telemetry

__all__ = ["Watcher", "address", "build", "check_address", "configuration", "run", "steady"]


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


def build(
    runs: Sequence[str | Path],
    url: str,
    *,
    open_to_all: bool,
    host: str,
    limits: Limits,
    device: str,
    rankers: Mapping[str, str] | None = None,
    force: bool = False,
    buckets: Buckets | None = None,
    drift_seconds: float = 0.0,
    list_logging: ListLogging | None = None,
    list_seconds: float = 300.0,
    explore_new: float = 0.0,
    new_seconds: float = 2.0,
) -> tuple[FastAPI, Service, Watcher]:
    """The application, its service, and the watcher of the run directories.

    The database says which models are in service. A given run is deployed if the database knows no model of its name, or with
    `force`; it is also deployed if its folder served under this name before and holds a new run since.

    Args:
        runs: folders or URLs of runs.
        rankers: names of rankers by name of the model; "" for all other models.
        force: whether to deploy the given runs in any case.
        buckets: what is left of the keys' rate limits; those of this process alone if omitted.
        drift_seconds: time between two measurements of the models' drift; 0 for none.
        list_logging: which lists are logged, and for how long.
        list_seconds: time between two computations of the lists for all users; 0 for none.
        explore_new: probability with which each place of a list is given to a new item.
        new_seconds: time between two looks for new items that models could score; 0 for no look.

    Raises:
        ConfigError: no run, two runs of one name, an address that is not allowed, an invalid URL of the database, a ranker
            for a model that is not served, or a capability that the ranker needs and its model lacks.
        RunError: a run cannot be loaded.
        EventStoreError: the database cannot be used.
    """
    given = _by_name(runs)
    engine = connect(url)
    events, ring = EventStore(engine), KeyRing(engine)
    check_address(host, open_to_all=open_to_all, has_keys=bool(ring.names()))
    registry = Registry(device=device, queued=limits.queued, rankers=rankers)
    fleet = Fleet(registry, DeploymentStore(engine))
    known = fleet.store.state().rows
    _check_names([*given, *known], rankers or {})
    watcher = Watcher(fleet, given)
    deploy_given(fleet, given, force=force)
    watcher.look()
    fleet.settle()
    roots = tuple(dict.fromkeys(map(_parent, [*given.values(), *(row.run.uri for row in known.values())])))
    log = ImpressionLog(ImpressionStore(engine), Telemetry(), list_logging)
    lists = ItemLists(ItemListStore(engine), seconds=list_seconds, weighting=lambda: registry.weighting)
    chosen: dict[str, Any] = {"lists": lists, "explore_new": explore_new, "new_seconds": new_seconds}
    service = Service(registry, events, limits, log.telemetry, log, **chosen)
    watch = DriftWatch(service, seconds=drift_seconds)
    app = make_app(service, None if open_to_all else ring, roots=roots, fleet=fleet, buckets=buckets, watch=watch)
    return app, service, watcher


def _by_name(runs: Sequence[str | Path]) -> dict[str, str]:
    """Folders or URLs of runs by their names."""
    given = {name_of_run(str(run)): str(run) if is_url(str(run)) else str(Path(run).resolve()) for run in runs}
    if len(given) != len(runs):
        raise ConfigError(f"runs of different names were expected, not {', '.join(map(str, runs))}")
    return given


def _check_names(names: Sequence[str], rankers: Mapping[str, str]) -> None:
    """Raise if no model is to be served, or if a ranker is for none of them."""
    if not names:
        raise ConfigError("no run was given, and the database knows no model; give the folder of a run")
    strangers = set(rankers) - {"", *names}
    if strangers:
        raise ConfigError(f"a ranker was given for {min(strangers)!r}; there are {', '.join(dict.fromkeys(names))}")


def _parent(run: str) -> str:
    """The folder or URL that a run is in, whose other runs may be deployed over HTTP."""
    return run.rstrip("/").rpartition("/")[0] if is_url(run) else str(Path(run).parent)


def steady() -> None:
    """Prepare this process for serving: threads that change quickly, and few and short pauses of the garbage collector."""
    # A model's thread releases Python's lock at every tensor operation; by default, it would wait 5 ms each time to get it back.
    sys.setswitchinterval(1e-4)
    # Objects that exist now stay: the garbage collector need not visit them each time, which takes tens of milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a request makes about as many objects as the default of 700


def configuration(app: FastAPI, *, host: str, port: int, backlog: int = 2048) -> uvicorn.Config:
    """The settings of uvicorn.

    Args:
        backlog: number of connections that may wait to be accepted, and are accepted at once.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        backlog=backlog,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=10,
        server_header=False,
        h11_max_incomplete_event_size=64 << 10,
    )


def run(app: FastAPI, watcher: Watcher, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; waiting requests are still answered.

    Args:
        ready: called with the address once the port is open.
    """
    steady()
    watcher.start()
    server = uvicorn.Server(configuration(app, host=host, port=port))
    started = threading.Thread(target=_announce, args=(server, host, port, ready), daemon=True)
    started.start()
    try:
        server.run()
    finally:
        watcher.stop()


def address(host: str, port: int) -> str:
    """The address of the service."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _announce(server: uvicorn.Server, host: str, port: int, ready: Callable[[str], None]) -> None:
    pause = threading.Event()
    while not server.started and not server.should_exit:
        pause.wait(0.02)
    if server.started:
        ready(address(host, server.servers[0].sockets[0].getsockname()[1] if port == 0 else port))

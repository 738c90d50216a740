"""The connection to a Ray cluster, of which this process is the driver."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from foldin.data import Source
from foldin.data.log.urls import is_url
from foldin.errors import ConfigError, MissingExtraError, RunError

__all__ = ["LOCAL", "Cluster", "connected", "everywhere", "ray_package"]

LOCAL = "local"
_HERE = "auto"
_PATIENCE = 10.0  # seconds for the head of a cluster to answer; Ray itself would try for minutes
_STORE = 128 << 20  # bytes of a local cluster's object store: no large object goes through it
# Ray reports usage to its makers unless told otherwise, and hides GPUs from processes that asked for none.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Ray cluster, and how much of it to use.

    Ray's messages are pickled: use only a cluster whose machines and users are trusted. Every machine needs the same versions of
    Python, Ray and foldin, and must see the same files under the same paths.

    Args:
        address: `local` to start a cluster on this machine that ends with the work; HOST:PORT of the head of a running cluster,
            of which this machine must be a part; `auto` for the cluster that was started on this machine.
        workers: number of worker processes; None for as many as the CPUs of the cluster allow.
        cpus: number of CPUs, and of PyTorch's threads, of each worker.

    One CPU is left to Ray, whose processes otherwise wait for the workers, and these for them.

    Raises:
        ConfigError: an empty address, or numbers that are not positive.
    """

    address: str = LOCAL
    workers: int | None = None
    cpus: int = 1

    def __post_init__(self) -> None:
        _, colon, port = self.address.rpartition(":")
        if self.address not in (LOCAL, _HERE) and (
            self.address.startswith("ray://") or not colon or not port.isdigit()
        ):
            raise ConfigError(f"Ray's address {self.address!r}: local, auto or HOST:PORT was expected")
        if self.cpus < 1 or (self.workers is not None and self.workers < 1):
            raise ConfigError(f"{self.workers} workers of {self.cpus} CPUs: at least 1 was expected")

    def workers_on(self, cpus: float) -> int:
        """Number of workers in a cluster of that many CPUs.

        Raises:
            ConfigError: it has too few CPUs.
        """
        most = max(0, int(cpus) - 1) // self.cpus
        if most < (self.workers or 1):
            wanted = (self.workers or 1) * self.cpus
            raise ConfigError(
                f"Ray at {self.address}: {self.workers or 1} workers of {self.cpus} CPUs need {wanted + 1} CPUs, one of them for "
                f"Ray itself; the cluster has {cpus:g}"
            )
        return self.workers or most


def everywhere(source: Source) -> Source:
    """The source with absolute paths, for processes in other folders; the URL of an event store keeps its password."""
    return source if is_url(source.path) else Source(**source.as_dict())


def ray_package() -> Any:
    """The package `ray`, with its reports of usage switched off unless the environment switches them on.

    Raises:
        MissingExtraError: it is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "a Ray cluster") from error
    return ray


@contextmanager
def connected(cluster: Cluster) -> Iterator[int]:
    """A context with a connection to the cluster; gives the number of workers.

    A process that is connected to a cluster already keeps that connection. A local cluster ends with the context. What is printed
    in the context goes to standard error, as Ray prints news of dead workers on standard output.

    Raises:
        ConfigError: the cluster has too few CPUs for the workers.
        MissingExtraError: Ray is not installed.
        RunError: the cluster cannot be reached.
    """
    ray = ray_package()
    if ray.is_initialized():
        yield cluster.workers_on(ray.cluster_resources().get("CPU", 0.0))
        return
    own: dict[str, Any] = {}
    if cluster.address == LOCAL:
        # CPUs of Ray are counters: more of them than the machine has only share it.
        wanted = (cluster.workers or 1) * cluster.cpus + 1
        own = {"num_cpus": max(wanted, os.cpu_count() or 1), "object_store_memory": _STORE, "include_dashboard": False}
    with redirect_stdout(sys.stderr):  # Ray prints there that a worker has died, where the result is expected
        try:
            if cluster.address not in (LOCAL, _HERE):
                host, _, port = cluster.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
            ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False, **own)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            hint = (
                ""
                if cluster.address == LOCAL
                else " (a cluster that asks for a token needs RAY_AUTH_MODE=token here too)"
            )
            raise RunError(f"Ray at {cluster.address}: no cluster can be reached: {reason}{hint}") from error
        try:
            yield cluster.workers_on(ray.cluster_resources().get("CPU", 0.0))
        finally:
            ray.shutdown()

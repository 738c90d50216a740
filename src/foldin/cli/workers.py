"""`foldin fit` in several processes: those that --workers starts on this machine, and those that torchrun has started."""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import click
import torch

from foldin.cli.reading import read_split
from foldin.cli.replacing import start_of
from foldin.data import Split
from foldin.errors import ConfigError, FitError, FoldinError
from foldin.experiment import accompany, choose_device
from foldin.runs import Run
from foldin.training import Config, joined
from foldin.training.distributed import launched
from foldin.workers import Group

__all__ = ["WORKERS", "Job", "check_workers", "device_of", "follow", "follows", "team"]

WORKERS = click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of processes, on this machine or with --ray on a cluster, that share the training; the result is that of one, "
    "up to rounding.",
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers besides the first one must know.

    Args:
        path: the data, as given to the command.
        options: options of the command, which describe how the data are read and split.
        config: configuration of the model.
        device: name of the device, as given to the command.
        earlier: earlier run from which training starts; None for none.
        arguments: further arguments of `accompany`.
    """

    path: str
    options: Mapping[str, Any]
    config: Config
    device: str
    earlier: str | None
    arguments: Mapping[str, Any]


def check_workers(count: int, options: Mapping[str, Any], *, started: bool = False) -> None:
    """Raise unless the options of a command go with several workers, if there are several.

    Args:
        started: whether a cluster starts the workers, also a single one.

    Raises:
        ConfigError: they do not.
    """
    if count > 1 and launched():
        raise ConfigError(f"--workers {count}: torchrun has started the workers already; leave the option out")
    if options["everyone"] and started:
        raise ConfigError("--ray does not go with --all: it is trained by one process, on this machine")
    if options["everyone"] and (count > 1 or launched()):
        raise ConfigError("several workers do not go with --all: it is trained by one process")


def device_of(name: str, count: int, rank: int = 0) -> torch.device:
    """The device of a worker, by the name that was given to the command; if there are several, each needs its own GPU.

    Args:
        count: number of workers of --workers.
        rank: number of this worker among them; not used under torchrun.

    Raises:
        ConfigError: there is no such device, or there are fewer than workers.
    """
    found = choose_device(name)
    if launched():
        rank, count = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if count == 1 or found.type == "cpu":
        return found
    if found.type != "cuda" or found.index is not None or torch.cuda.device_count() < count:
        raise ConfigError(
            f"device {found}: {count} workers on this machine need as many GPUs, and it has {torch.cuda.device_count()}; "
            f"give --device cpu, or fewer workers"
        )
    return torch.device("cuda", rank)


def follows() -> bool:
    """Whether torchrun has started this process as a worker that is not the first one."""
    return launched() and os.environ["RANK"] != "0"


def follow(job: Job) -> None:
    """The whole work of a process that torchrun has started as a worker besides the first one."""
    device = device_of(job.device, 1)
    split, start = _read(job, device)
    with joined(gpu=device.type == "cuda") as group:
        accompany(split, job.config, group=group, device=device, start=start, **job.arguments)


@contextmanager
def team(job: Job, count: int, device: torch.device) -> Iterator[Group]:
    """A context with the group of the workers of a training, in the process of the first one.

    With a `count` above 1, the others are processes that live as long as the context; the threads of this process are shared out
    among all of them.

    Raises:
        FitError: another worker ended early.
    """
    gpu = device.type == "cuda"
    if count == 1:
        with joined(gpu=gpu) as group:
            yield group
        return
    threads = torch.get_num_threads()
    share, spawn = max(1, threads // count), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        others: list[Any] = []
        signs: list[Any] = []
        for rank in range(1, count):
            sign, of_other = spawn.Pipe(duplex=False)
            others.append(spawn.Process(target=_other, args=(job, rank, count, meeting, share, of_other), daemon=True))
            signs.append(sign)
        try:
            for other in others:
                other.start()
            _await(others, signs)
            torch.set_num_threads(share)
            with joined(0, count, meeting=meeting, gpu=gpu) as group:
                yield group
        except RuntimeError as error:  # of the connection to a worker that has ended
            _check_alive(others, signs, error)
            raise
        finally:
            torch.set_num_threads(threads)
            for other in others:
                other.terminate()
                other.join()


def _other(
    job: Job, rank: int, count: int, meeting: Path, threads: int, sign: "connection.Connection[Any, Any]"
) -> None:
    """The whole work of a process that --workers has started. Ctrl-C is left to the first worker, which ends the others.

    Args:
        sign: where an empty text means that this worker is ready to train, and any other text is the error that ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    try:
        device = device_of(job.device, count, rank)
        split, start = _read(job, device)
        sign.send("")
        with joined(rank, count, meeting=meeting, gpu=device.type == "cuda") as group:
            accompany(split, job.config, group=group, device=device, start=start, **job.arguments)
    except FoldinError as error:
        sign.send(str(error))
        sys.exit(2)


def _read(job: Job, device: torch.device) -> tuple[Split, Run | None]:
    """(the split, the run from which training starts); the first worker has printed what must be known of them."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
        return read_split(job.path, job.options), start_of(job.path, job.earlier, None, device)


def _await(others: Sequence[Any], signs: Sequence[Any]) -> None:
    """Return when all other workers are ready to train.

    Raises:
        FitError: one ended instead.
    """
    for rank, (other, sign) in enumerate(zip(others, signs, strict=True), start=1):
        connection.wait([other.sentinel, sign])
        said = sign.recv() if sign.poll() else None
        if said != "":
            raise _ended(rank, other, said)


def _check_alive(others: Sequence[Any], signs: Sequence[Any], cause: Exception) -> None:
    """Raise an error if a worker has ended early.

    Raises:
        FitError: it has.
    """
    for rank, (other, sign) in enumerate(zip(others, signs, strict=True), start=1):
        other.join(timeout=1.0)
        if other.exitcode:
            raise _ended(rank, other, sign.recv() if sign.poll() else None) from cause


def _ended(rank: int, other: Any, said: str | None) -> FitError:
    """The error that a worker ended early, with its reason if it could say one."""
    other.join(timeout=1.0)
    reason = f", with exit code {other.exitcode}" if said is None else f": {said}"
    return FitError(
        f"worker {rank}, counted from 0, ended early{reason}; --resume continues after the last whole epoch"
    )

"""Actors that take one task after another, and are replaced when they die."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from foldin.cluster.messages import unless_refused
from foldin.errors import RunError

__all__ = ["each"]

T = TypeVar("T")

_DEATHS = 3  # actors that one task may take with it, and actors in a row that die before they are ready
_PATIENCE = 600.0  # seconds without any actor


def each(
    ray: Any, make: Callable[[], Any], tasks: Sequence[T], workers: int, *, patience: float = _PATIENCE
) -> Iterator[tuple[T, Any]]:
    """(task, what an actor returned for it) for every task, in the order in which they end.

    Ray would start a dead actor again, but with the tasks that it had, and where no CPU is left they wait for ever. Here a task
    belongs to an actor only while the actor works on it: if the actor or its machine dies, the task goes back to the front.

    Args:
        ray: the package `ray`.
        make: starts an actor whose method `ready` returns when it can work and whose method `do` takes a task. Both return a
            `Refusal` for errors of foldin.
        tasks: the tasks, which can be hashed and pickled.
        workers: number of actors.
        patience: seconds after which an error is raised if there is no actor.

    Raises:
        FoldinError: an actor refused to begin, or refused a task.
        RunError: a task ended three actors, three actors ended before they were ready, or no actor could be started.
    """
    pool = _Pool(ray, make)
    waiting, deaths = deque(tasks), Counter[T]()
    try:
        for _ in range(min(workers, len(waiting))):
            pool.start()
        while waiting or pool.working:
            while waiting and pool.idle:
                pool.give(waiting.popleft())
            for task, answer in pool.ended(patience):
                if answer is not None:
                    yield task, unless_refused(answer)
                    continue
                deaths[task] += 1
                if deaths[task] == _DEATHS:
                    raise RunError(f"{task}: {_DEATHS} workers died of it, perhaps for want of memory")
                waiting.appendleft(task)
    finally:
        pool.close()


class _Pool:
    """Actors: those that are starting, those that wait for a task and those that work."""

    def __init__(self, ray: Any, make: Callable[[], Any]) -> None:
        self._ray, self._make = ray, make
        self._starting: dict[Any, Any] = {}
        self.working: dict[Any, tuple[Any, Any]] = {}
        self.idle: list[Any] = []
        self._stillborn = 0

    def start(self) -> None:
        actor = self._make()
        self._starting[actor.ready.remote()] = actor

    def give(self, task: Any) -> None:
        actor = self.idle.pop()
        self.working[actor.do.remote(task)] = (actor, task)

    def ended(self, patience: float) -> Iterator[tuple[Any, Any]]:
        """(task, answer) for tasks that have ended since, after a wait for any news; None for the answer of a dead actor."""
        refs = [*self._starting, *self.working]
        done, _ = self._ray.wait(refs, num_returns=1, timeout=None if self.working else patience)
        if not done:
            raise RunError(
                f"no worker could be started within {patience:,.0f} s: the cluster has no free CPU; it has "
                f"{self._ray.cluster_resources().get('CPU', 0):g} in all"
            )
        for ref in done:
            if ref in self._starting:
                self._begun(ref)
            else:
                actor, task = self.working.pop(ref)
                answer = self._answer(ref, actor)
                if answer is not None:
                    self.idle.append(actor)
                yield task, answer

    def _begun(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        answer = self._answer(ref, actor)
        if answer is not None:
            unless_refused(answer)
            self._stillborn = 0
            self.idle.append(actor)
            return
        self._stillborn += 1
        if self._stillborn == _DEATHS:
            raise RunError(f"{_DEATHS} workers in a row died before they could work; Ray's logs say why")

    def _answer(self, ref: Any, actor: Any) -> Any:
        """The answer of an actor; None if the actor has died, and another one is started for it."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except errors.RayTaskError:  # a bug in the task, not a death
            raise
        except errors.RayError:
            with suppress(Exception):  # an actor out of reach may still live
                self._ray.kill(actor)
            self.start()
            return None

    def close(self) -> None:
        """End all actors."""
        for actor in [*self._starting.values(), *self.idle, *(actor for actor, _ in self.working.values())]:
            with suppress(Exception):  # it may have died already
                self._ray.kill(actor)

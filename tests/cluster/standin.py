"""A stand-in for the package `ray` in one process: calls run when they are waited for, and actors die where a test says."""

from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any


class RayError(Exception):
    """An actor has died."""


class RayTaskError(RayError):
    """The code of a task has failed."""


class Ref:
    """A call that has not run yet."""

    def __init__(self, actor: "Actor", name: str, arguments: tuple[Any, ...]) -> None:
        self.actor, self.name, self.arguments = actor, name, arguments


class Actor:
    """An actor of a class of foldin, with the number that it has among all that were started."""

    def __init__(self, ray: "Standin", number: int, made: Any) -> None:
        self.ray, self.number, self.made, self.dead = ray, number, made, False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: Ref(self, name, arguments))


class Standin(ModuleType):
    """The part of `ray` that foldin uses for actors.

    Args:
        cpus: number of actors that run at a time, and one more.
        dies: called with (number of the actor, name of the method, arguments); whether the actor dies of that call.
    """

    def __init__(self, cpus: int = 4, dies: Callable[[int, str, tuple[Any, ...]], bool] = lambda *_: False) -> None:
        super().__init__("ray")
        self.cpus, self.dies = cpus, dies
        self.actors: list[Actor] = []
        self.calls: list[tuple[int, str, tuple[Any, ...]]] = []
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    def remote(self, **_: Any) -> Callable[[type], Any]:
        def of(kind: type) -> Any:
            def start(*arguments: Any) -> Actor:
                self.actors.append(Actor(self, len(self.actors), kind(*arguments)))
                return self.actors[-1]

            return SimpleNamespace(remote=start)

        return of

    def _runs(self, actor: Actor) -> bool:
        """Whether an actor has a CPU: actors get one in their order, and keep it until they die."""
        return actor in [one for one in self.actors if not one.dead][: self.cpus - 1] or actor.dead

    def wait(self, refs: Sequence[Ref], *, num_returns: int, timeout: float | None) -> tuple[list[Ref], list[Ref]]:
        """One call that can run: actors begin at once, and tasks end in another order than they began."""
        assert num_returns == 1
        can = [ref for ref in refs if self._runs(ref.actor)]
        done = ([ref for ref in can if ref.name == "ready"] or can[::-1])[:1]
        assert done or timeout is not None, "waits for ever"
        return done, [ref for ref in refs if ref not in done]

    def get(self, ref: Ref) -> Any:
        number = ref.actor.number
        self.calls.append((number, ref.name, ref.arguments))
        if ref.actor.dead or self.dies(number, ref.name, ref.arguments):
            ref.actor.dead = True
            raise RayError("the actor has died")
        return getattr(ref.actor.made, ref.name)(*ref.arguments)

    def kill(self, actor: Actor) -> None:
        actor.dead = True

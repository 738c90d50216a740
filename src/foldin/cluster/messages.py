"""What workers say to the driver: errors that they mean for the user, as text, and news while they work.

An exception that crosses Ray arrives with the traceback of the worker in its message, or not at all if it cannot be pickled. What
workers print stays in Ray's logs, among much that is no user's concern.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from foldin import errors
from foldin.errors import FoldinError

__all__ = ["Refusal", "RefusedError", "listening", "or_refusal", "unless_refused"]

_LOOK = 0.5  # seconds between two looks for news


@dataclass(frozen=True)
class Refusal:
    """An error of foldin.

    Args:
        kind: name of its class.
        text: its message.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, error: FoldinError) -> "Refusal":
        """The refusal that an error is."""
        return cls(type(error).__name__, str(error))

    def error(self) -> FoldinError:
        """The error."""
        kind = getattr(errors, self.kind, FoldinError)
        made: FoldinError = kind.__new__(kind, self.text)  # some are made of other arguments than the message
        made.args = (self.text,)
        return made


class RefusedError(Exception):
    """A refusal that ends the work of all workers, in a form that can be pickled."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def or_refusal(work: Callable[[], Any]) -> Any:
    """What some work returns; a `Refusal` if it raises an error of foldin."""
    try:
        return work()
    except FoldinError as error:
        return Refusal.of(error)


def unless_refused(answer: Any) -> Any:
    """The answer of a worker.

    Raises:
        FoldinError: the answer is a `Refusal`.
    """
    if isinstance(answer, Refusal):
        raise answer.error()
    return answer


@contextmanager
def listening(ray: Any, hears: Callable[[Any], None]) -> Iterator[Any]:
    """A context with a queue, whose method `put` workers call; `hears` is called with what they put, in a thread of its own.

    The queue lives on the machine of the driver, so that no other one takes it away.

    Args:
        ray: the package `ray`.
    """
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue, over = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here}), threading.Event()

    def hear() -> None:
        for one in queue.get_nowait_batch(queue.size()):
            hears(one)

    def listen() -> None:
        while not over.wait(_LOOK):
            hear()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        over.set()
        thread.join()
        with suppress(ray.exceptions.RayError):  # the connection may have ended
            hear()
            queue.shutdown(force=True)

"""Errors that a worker means for the user, on their way to the driver as text.

An exception that crosses Ray arrives with the traceback of the worker in its message, or not at all if it cannot be pickled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foldin import errors
from foldin.errors import FoldinError

__all__ = ["Refusal", "RefusedError", "or_refusal", "unless_refused"]


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

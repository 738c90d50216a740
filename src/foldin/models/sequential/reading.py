"""What SASRec has read of some histories, to which further events can be added one at a time."""

from dataclasses import dataclass

from foldin.data import Histories
from foldin.nn import Cache
from foldin.tensors import Float, Tensor

__all__ = ["Reading"]


@dataclass(frozen=True, eq=False)
class Reading:
    """The result of reading users' histories, from which `SASRec.extend` continues.

    Args:
        histories: the histories that were read.
        states: h of each user's newest event; zeros for an empty history.
        cache: what the blocks keep of the events; None if the next event changes all positions, so that all is read again.
    """

    histories: Histories
    states: Float[Tensor, "users width"]
    cache: Cache | None

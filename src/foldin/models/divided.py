"""How a batch of histories divides among workers, for losses that are means over users."""

from foldin.data import Histories
from foldin.tensors import Array, Int64
from foldin.training import Divided

__all__ = ["BY_USERS"]


def _counts(batch: Histories) -> dict[str, Int64[Array, " users"]]:
    """Events of each user, and what is read of the user: events and dislikes."""
    read = batch.lengths if batch.dislikes is None else batch.lengths + batch.dislikes.lengths
    return {"events": batch.lengths, "read": read}


# The models of histories draw noise for users and dropout for events, or for what is read.
BY_USERS: Divided[Histories] = Divided(_counts)

"""How a batch of histories divides among workers, for losses that are means over users."""

from foldin.data import Histories
from foldin.training import Divided

__all__ = ["BY_USERS"]

# Users and their events; the models of histories draw noise for users and dropout for events.
BY_USERS: Divided[Histories] = Divided(lambda batch: {"events": batch.lengths})

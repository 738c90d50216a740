"""Reading histories one event at a time: what the blocks keep of earlier events is kept, so that only the new one is computed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldin.data import Histories
from foldin.errors import ShapeError
from foldin.nn import Cache, newest
from foldin.tensors import Float, Tensor

if TYPE_CHECKING:
    from foldin.models.sequential.sasrec import SASRec

__all__ = ["Reading", "extended", "read"]


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


def read(model: "SASRec", histories: Histories) -> Reading:
    """The result of `SASRec.read`."""
    model.check_histories(histories)
    room = model.config.max_length > int(histories.lengths.max(initial=0))
    if not room or not model.encoder.extensible or len(histories) == 0 or int(histories.lengths.min()) == 0:
        return Reading(histories, model.queries(histories), None)
    part = newest(histories, model.config.max_length, model.device)
    states, cache = model.encoder.begin(part)
    return Reading(histories, model._asked(states.flatten(0, 1)[part.last()]), cache)


def extended(model: "SASRec", reading: Reading, later: Histories) -> Reading:
    """The result of `SASRec.extend`.

    Raises:
        ShapeError: `later` has other users, or not one event of each.
    """
    histories = reading.histories.followed_by(later)
    if (later.lengths != 1).any():
        raise ShapeError("SASRec: a reading is extended by one event of each user")
    cache = reading.cache
    # If only some of the events have times, the times of all are dropped.
    dropped = model.config.timed and (later.times is None) != (reading.histories.times is None)
    if cache is None or dropped or int(cache.lengths.max()) >= model.config.max_length:
        return read(model, histories)
    part = newest(later, 1, model.device)
    states, cache = model.encoder.extend(part, cache)
    return Reading(histories, model._asked(states.squeeze(1)), cache)

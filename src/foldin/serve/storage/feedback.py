"""The log of lists as feedback for off-policy evaluation: what was drawn, with which propensity, and what came of it."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.data import Catalog, Histories
from foldin.data.log.store import connect, events, unusable
from foldin.data.log.urls import public_url
from foldin.data.resolve import disliked
from foldin.errors import ConfigError, DataError
from foldin.evaluation import LoggedFeedback, PropensityOf
from foldin.ranking import Eligibility
from foldin.serve.storage.impression_tables import impressions
from foldin.serve.storage.item_tables import items
from foldin.serve.storage.listed import lists_item
from foldin.serve.storage.retirements import Retirements, retirements
from foldin.tensors import Array, Int64

__all__ = ["FeedbackLog", "read_feedback"]

_NAMES = {PropensityOf.GIVEN_ABOVE: "given_above", PropensityOf.IN_LIST: "in_list"}


@dataclass(frozen=True, eq=False)
class FeedbackLog:
    """Logged lists with propensities, and the rewards that followed.

    Events have the weights that the run which drew the list gave them by its kinds, half-life and dislikes; age counts from the
    end of its training. For that run they are exact. A target run with another rule, or trained until another time, would weigh
    the same events otherwise: the estimate is that of its lists for the logged weights.

    Args:
        feedback: the lists, each with a context of its own. Those of one user are a cluster, and each list without a user is one,
            so that intervals of estimates count users.
        histories: the history that each list was made from, in the order of the lists, with its weights and dislikes.
        users: external id of the user of each list; None for a list without a user.
        list_ids: id of each list.
        eligible: items that could be listed in each list: all but those of the history, unless the list could repeat them, those
            that the user dislikes, and those that were retired at the time; give it to `Policy.probabilities`.
        left_out: numbers of lists that were left out, by reason.
    """

    feedback: LoggedFeedback
    histories: Histories
    users: tuple[str | None, ...]
    list_ids: tuple[str, ...]
    eligible: Eligibility
    left_out: Mapping[str, int]


def read_feedback(
    url: str,
    catalog: Catalog,
    *,
    propensity_of: PropensityOf = PropensityOf.GIVEN_ABOVE,
    model: str | None = None,
    since: int = 0,
    window: int = 86_400,
    weights: Mapping[str, float] | None = None,
    now: int | None = None,
) -> FeedbackLog:
    """The lists that a service drew at random, as off-policy estimators take them.

    The reward of a listed item is the sum of the weights of its events within the window after the list: of events that name
    the list, and of events of its user that name none and belong to no newer of these lists that held the item. A list that the
    request restricted to some items is left out, since a target policy would need the same restriction. Items that were retired
    are no restriction of the request: `eligible` has them, list by list. Lists of a model that scored items which came after its
    training are used until the first item was sent that the catalog lacks; the catalog of the next run, which has these items,
    lacks none.

    Args:
        url: `sqlite:///FILE` or `postgresql://…`, as of `foldin serve --events`.
        catalog: catalog in whose indices items are given: that of the run that is to be evaluated.
        propensity_of: the event whose probability a propensity is: `GIVEN_ABOVE` for lists of `explore="temperature"`, `IN_LIST`
            for those of `thompson`.
        model: name of the model that answered; None for any.
        since: only lists of this time or later, in seconds since 1970.
        window: seconds after a list within which events count; lists whose window is not over are left out.
        weights: weight of an event by its kind, others weighing 0; None for a weight of 1 of every event.
        now: seconds since 1970; the time of the clock if None.

    Raises:
        ConfigError: a window below a second, `AT_PLACE`, which no ranker gives, or another kind of URL.
        DataError: no log of lists in this database, or no list of this kind.
        EventStoreError: the database cannot be reached.
    """
    if window < 1:
        raise ConfigError(f"window: a second at least was expected, not {window}")
    if propensity_of not in _NAMES:
        raise ConfigError("propensity_of: GIVEN_ABOVE or IN_LIST was expected; no ranker of the service gives AT_PLACE")
    chosen = [impressions.c.propensity_of == _NAMES[propensity_of], impressions.c.time >= since]
    if model is not None:
        chosen.append(impressions.c.model == model)
    rows, came, retired, sent = _logged(url, chosen, window)
    over = int(time.time() if now is None else now) - window
    kept, left_out = _usable(rows, catalog, over, _lacking_since(sent, catalog))
    if not kept:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "none is logged"
        raise DataError(
            f"{public_url(url)}: no list with propensities of {_NAMES[propensity_of]!r} to evaluate: {reasons}"
        )
    histories = _histories(kept, catalog)
    return FeedbackLog(
        feedback=_feedback(kept, catalog, propensity_of, _rewards(came, weights)),
        histories=histories,
        eligible=_eligible(kept, histories, catalog, retired),
        users=tuple(row.user_id for row in kept),
        list_ids=tuple(row.list_id for row in kept),
        left_out=dict(left_out),
    )


def _logged(
    url: str, chosen: Sequence[Any], window: int
) -> tuple[Sequence[Any], list[tuple[int, str, str, str]], Retirements, Sequence[tuple[str, int]]]:
    """(rows of the chosen lists, events after them as of `_came`, when items were retired, when each item was sent first)."""
    engine = connect(url, reading=True)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(retirements.name):
                raise DataError(
                    f"{public_url(url)}: has no log of lists of this version; `foldin serve` migrates it once"
                )
            statement = sa.select(impressions).where(*chosen).order_by(impressions.c.time, impressions.c.list_id)
            rows = connection.execute(statement).all()
            sent = [(row.item, row.created) for row in connection.execute(sa.select(items.c.item, items.c.created))]
            return rows, _came(connection, chosen, window), Retirements.read(connection), sent
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()


def _came(connection: sa.Connection, chosen: Sequence[Any], window: int) -> list[tuple[int, str, str, str]]:
    """(number of the event, item, kind, id of the list) of events after lists, those of one event from the oldest list on."""
    one, event = impressions.c, events.c
    columns = (event.id, event.item, event.kind, one.list_id, one.time)
    in_window = event.time.between(one.time, one.time + window)
    holds = lists_item(connection.dialect.name == "postgresql", one["items"], event.item)
    named = sa.select(*columns).where(event.list_id == one.list_id, in_window, holds, *chosen)
    of_user = sa.select(*columns).where(
        event.list_id.is_(None), event.user_id == one.user_id, in_window, holds, *chosen
    )
    both = sa.union_all(named, of_user).subquery()
    ordered = sa.select(both.c.id, both.c.item, both.c.kind, both.c.list_id).order_by(both.c.time, both.c.list_id)
    return [(row.id, row.item, row.kind, row.list_id) for row in connection.execute(ordered)]


def _rewards(
    came: Iterable[tuple[int, str, str, str]], weights: Mapping[str, float] | None
) -> dict[tuple[str, str], float]:
    """The reward by list and item; an event belongs to the newest of its lists."""
    newest = {number: (item, kind, list_id) for number, item, kind, list_id in came}
    found: dict[tuple[str, str], float] = {}
    for item, kind, list_id in newest.values():
        weight = 1.0 if weights is None else float(weights.get(kind, 0.0))
        found[list_id, item] = found.get((list_id, item), 0.0) + weight
    return found


def _lacking_since(sent: Sequence[tuple[str, int]], catalog: Catalog) -> float:
    """Time at which the first item was sent that a catalog lacks; infinity if it has all."""
    return min((created for item, created in sent if item not in catalog), default=math.inf)


def _usable(rows: Sequence[Any], catalog: Catalog, over: int, lacking_since: float) -> tuple[list[Any], Counter[str]]:
    """(lists to evaluate, numbers of the others by reason).

    No reason looks at what was drawn: lists that are left out because of their items would change the propensities of the others.
    """
    kept: list[Any] = []
    left_out: Counter[str] = Counter()
    late = [bool(row.history.get("new_items")) and row.time >= lacking_since for row in rows]
    strange = {
        row.run
        for row, after in zip(rows, late, strict=True)
        if "+new:" not in row.ranker and not after and None in catalog.places(row.items)
    }
    for row, after in zip(rows, late, strict=True):
        if row.time > over:
            left_out["whose window is not over"] += 1
        elif row.restricted:
            left_out["restricted by the request"] += 1
        elif not row.items:
            left_out["without an item"] += 1
        elif "+new:" in row.ranker:
            left_out["that new items could have places in"] += 1
        elif after:
            left_out["that could have new items which are not in the catalog"] += 1
        elif row.run in strange:
            left_out["of a run that lists items that are not in the catalog"] += 1
        else:
            kept.append(row)
    return kept, left_out


def _feedback(
    rows: Sequence[Any], catalog: Catalog, of: PropensityOf, rewards: Mapping[tuple[str, str], float]
) -> LoggedFeedback:
    shape = (len(rows), max(len(row.items) for row in rows))
    items, propensities, earned = np.full(shape, -1), np.ones(shape), np.zeros(shape)
    for at, row in enumerate(rows):
        k = len(row.items)
        items[at, :k] = catalog.indices(row.items)
        propensities[at, :k] = row.propensities
        earned[at, :k] = [rewards.get((row.list_id, item), 0.0) for item in row.items]
    own = np.arange(len(rows))
    return LoggedFeedback(items, propensities, earned, own, of, clusters=_clusters([row.user_id for row in rows]))


def _clusters(users: Sequence[str | None]) -> Int64[Array, " lists"]:
    """The cluster of each list: that of its user, or one of its own if it has none."""
    first: dict[str, int] = {}
    return np.array([at if user is None else first.setdefault(user, at) for at, user in enumerate(users)])


def _eligible(rows: Sequence[Any], histories: Histories, catalog: Catalog, retired: Retirements) -> Eligibility:
    """What could be listed in each list."""
    masks = retired.masks([row.item_revision for row in rows if row.item_revision is not None], catalog)
    own = {at: masks[row.item_revision] for at, row in enumerate(rows) if row.item_revision is not None}
    return Eligibility(len(rows), len(catalog), _excluded(rows, histories), None, own)


def _excluded(rows: Sequence[Any], histories: Histories) -> Histories:
    """The items that each list could not have: what the user dislikes, and all of the history, or none of it.

    None of it as of a run of a log with `repeats="keep"`. A list that was logged before the log told is taken for one that
    repeats nothing.
    """
    excluding = np.array([row.history.get("exclude_seen", True) for row in rows], dtype=bool)
    seen = histories if excluding.all() else histories.where(np.repeat(excluding, histories.lengths))
    return seen if seen.dislikes is None else replace(seen, dislikes=None).followed_by(seen.dislikes)


def _histories(rows: Sequence[Any], catalog: Catalog) -> Histories:
    """The histories of the lists; as in the service, all events of one without times get the same time if others have times.

    A history that was logged without weights has those of 1.
    """
    items: list[int] = []
    times: list[int] = []
    weights: list[float] = []
    offsets = [0]
    for row in rows:
        told, moments, weighed = row.history["items"], row.history["times"], row.history.get("weights")
        known = [place for place, at in enumerate(catalog.places(told)) if at is not None]
        items += catalog.indices([told[place] for place in known])
        times += [0 if moments is None else moments[place] for place in known]
        weights += [1.0 if weighed is None else weighed[place] for place in known]
        offsets.append(len(items))
    timed = any(row.history["times"] is not None for row in rows)
    return Histories(
        items=np.array(items, dtype=np.int32),
        offsets=np.array(offsets, dtype=np.int64),
        n_items=len(catalog),
        times=np.array(times, dtype=np.int64) if timed else None,
        weights=np.array(weights, dtype=np.float32) if any(row.history.get("weights") for row in rows) else None,
        dislikes=_dislikes(rows, catalog),
    )


def _dislikes(rows: Sequence[Any], catalog: Catalog) -> Histories | None:
    """What the users of the lists disliked, with the strengths; None if none disliked an item of the catalog."""
    items: list[list[int]] = []
    strengths: list[list[float]] = []
    for row in rows:
        told, own = row.history.get("dislikes", []), row.history.get("strengths", [])
        known = [(at, one) for at, one in zip(catalog.places(told), own, strict=True) if at is not None]
        items.append([at for at, _ in known])
        strengths.append([strength for _, strength in known])
    return disliked(items, strengths, len(catalog))

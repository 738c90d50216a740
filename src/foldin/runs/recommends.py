"""Lists and similar items from a trained model, for ids or tables of events, as tables of the caller's library."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from foldin.data import (
    Catalog,
    Condition,
    EventWeights,
    Filters,
    FrameStyle,
    KnownUsers,
    ReadOptions,
    conditions_of,
    count_of,
    everyone_of_frame,
    id_text,
    is_frame,
)
from foldin.errors import UnknownUserError, warn
from foldin.models import Recommender, user_key
from foldin.ranking import (
    Eligibility,
    Exact,
    Ranker,
    Ruled,
    Rules,
    rank,
    ranker_of,
    resolve_rules,
    rules_of,
    similar_items,
)

if TYPE_CHECKING:
    from foldin.runs.new_items import WithNewItems

__all__ = ["Parts", "Recommends"]


class Parts(NamedTuple):
    """The parts of a trained model from which lists are made.

    Args:
        model: the model.
        catalog: its items.
        style: library and types of ids of the log, which results have too.
        reading: how the log was read; tables of events are read in the same way.
        weighting: the rule by which events are weighted, in training and in tables of events; None if all count alike.
    """

    model: Recommender[Any]
    catalog: Catalog
    style: FrameStyle
    reading: ReadOptions
    weighting: EventWeights | None = None


class Recommends(ABC):
    """A trained model with the catalog of its items, and with the users whose histories are known."""

    @abstractmethod
    def _parts(self) -> Parts: ...

    @abstractmethod
    def _known_users(self) -> KnownUsers | None: ...

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        where: Mapping[str, Mapping[str, Any]] | None = None,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] | None = None,
        exclude_seen: bool | None = None,
        ranker: Ranker | str | None = None,
        rules: Rules | Mapping[str, Any] | None = None,
    ) -> Any:
        """Lists of recommendations as a table: user, rank, item, title, score or probability, and further columns of the ranker.

        Args:
            users: ids of users whose histories are known, or a table of events of any users, new ones included, which is read as
                the log was; every user in it gets a list, also users without a usable event. None for all known users.
            k: length of the lists.
            where: conditions on features of the items, such as `{"genres": {"none_of": ["Horror"]}}`; see `data.Condition`.
            allow, deny: ids of the only items that may be listed, and of items that may not.
            exclude_seen: whether to leave out the items of the user's history; None to leave them out unless the log keeps
                repeats.
            ranker: `Exact` when None; or the name of a ranker as on the command line, such as `beam:100` (see `ranker_of`).
            rules: boosts, freshness, diversity, caps and pins, also as a mapping like the JSON of a request; the table then says
                what each list gives up to them.

        The logger `foldin` warns of events of items that the catalog lacks, and of values in `where` and in boosts that no item
        has.

        Returns:
            A table of the caller's library: that of `users`, if it is a table, otherwise that of the log. Users have the type
            that they have there; items too, unless they are text there and numbers or categories in the log of the training.

        Raises:
            UnknownUserError: an id without a known history.
            UnknownItemError: an id in `allow`, `deny` or a pin that is not in the catalog.
            ConfigError: a condition or a rule that does not fit the features, or a model that lacks what the ranker needs.
            DataError: a table that cannot be read as events.
        """
        model, catalog, _, reading, _ = self._parts()
        asked, style = self._asked(users)
        if isinstance(ranker, str):
            ranker = ranker_of(ranker, model, index=lambda: getattr(self, "index", None))
        rules = rules_of(rules, "rules") if isinstance(rules, Mapping) else rules
        features = Filters(catalog) if where is not None or rules else None
        wanted = None if where is None else conditions_of(where, "where")
        if features is not None:
            _warn(features, wanted or {}, *(one.conditions() for one in (rules.boosts if rules else ())))
        eligible = Eligibility.of(
            asked.histories,
            exclude_seen=not reading.keeps_repeats if exclude_seen is None else exclude_seen,
            allow=None if allow is None else catalog.indices(map(id_text, allow)),
            deny=None if deny is None else catalog.indices(map(id_text, deny)),
            where=catalog.active(None if wanted is None or features is None else features.passing(wanted)),
        )
        if rules:
            ranker = Ruled(resolve_rules(rules, catalog, features), Exact() if ranker is None else ranker)
        keys = [user_key(user) for user in asked.ids]
        lists = rank(model, asked.histories, k, ranker=ranker, eligible=eligible, keys=keys)
        return style.native(lists.frame(catalog, asked.ids))

    def similar(self, item: Any, k: int = 10) -> Any:
        """The items most similar to one, as a table: rank, item, title, similarity.

        The similarity is the cosine of the model's item vectors; for a model without vectors, the table has no such column and
        is the list for a history of this one item.

        Args:
            item: id of the item, or its title.

        Raises:
            UnknownItemError: no item has this id or title.
        """
        model, catalog, style, *_ = self._parts()
        text = id_text(item)
        at = catalog.indices([text])[0] if text in catalog else catalog.find_title(text)
        number, retired = count_of(k, "k"), catalog.retired
        items, similarities = similar_items(model, at, number if retired is None else number + int(retired.sum()))
        if retired is not None:
            kept = [place for place, one in enumerate(items) if not retired[one]][:number]
            items = [items[place] for place in kept]
            similarities = None if similarities is None else [similarities[place] for place in kept]
        table = pl.DataFrame(
            {
                "rank": range(1, len(items) + 1),
                "item": catalog.table["item"].gather(items),
                "title": pl.Series(catalog.titles, dtype=pl.String).gather(items),
            }
        )
        if similarities is not None:
            table = table.with_columns(similarity=pl.Series(similarities, dtype=pl.Float64))
        return style.native(table)

    def with_new_items(self, items: Any) -> "WithNewItems":
        """The trained model with further items, which it scores by their features, or by titles of which it makes tokens.

        Nothing is trained. Lists have the new items, and in a history they are read as the model reads items without training
        events. For a model whose training does not depend on such items, `contentknn` and `ease` with features, the scores are
        those of a training on `EventLog.with_new_items`.

        Args:
            items: a table of items as for `read_log`, with the columns of the catalog; those that the catalog has are left out.

        Raises:
            ConfigError: the model does not score items by features, or its settings chose none.
            DataError: `items` is not a table, or has no new item.
            ColumnError: a feature has another type than in the catalog.
            CapacityError: the larger model needs more memory than is free.
        """
        from foldin.runs.new_items import WithNewItems  # which is a subclass of this class

        return WithNewItems.of(self, items)

    def _asked(self, users: Any) -> tuple[KnownUsers, FrameStyle]:
        _, catalog, style, reading, weighting = self._parts()
        if users is not None and is_frame(users):
            asked = everyone_of_frame(users, reading, catalog, weighting)
            if asked.unknown_items:
                warn(
                    f"the table of users: {asked.unknown_events:,} events of {asked.unknown_items:,} items that are not in the "
                    "catalog are ignored; users without another event, whose lists are those of users of whom nothing is known: "
                    f"{asked.without_events:,}"
                )
            return KnownUsers(asked.users, asked.histories), asked.style.with_items_of(style)
        known = self._known_users()
        if known is None:
            raise UnknownUserError(
                "no histories are known: give a table of events, or the log with attach(log), or save them with "
                "save(folder, histories=True)"
            )
        return (known if users is None else known.of(users)), style


def _warn(features: Filters, *asked: Mapping[str, Condition]) -> None:
    """Warn of the values that conditions ask for and no item has."""
    for conditions in asked:
        for text in features.missing(conditions):
            warn(text)

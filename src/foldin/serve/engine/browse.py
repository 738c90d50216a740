"""Queries that need no user: items by text, and similar items."""

from collections.abc import Sequence

from foldin.ranking import similar_items
from foldin.serve.engine.registry import Registry
from foldin.serve.limits import bounded
from foldin.serve.schemas import ItemOut, ItemsOut

__all__ = ["listed", "search", "similar"]


def search(registry: Registry, text: str, limit: int, model: str | None) -> ItemsOut:
    """Items that a text finds by title or id, best first; the most popular items for an empty text.

    Raises:
        ConfigError: no such model, or a text longer than any id.
    """
    deployment = registry.choose(model, None)
    view = deployment.view
    catalog = view.catalog
    if not catalog.known([text]):
        bounded(text, "q")
    counts = catalog.table["count"]
    return ItemsOut(
        items=[
            ItemOut(item=catalog.ids[at], title=catalog.titles[at], count=int(counts[at]))
            for at in view.search.find(text, limit, hidden=view.retired)
        ]
    )


def listed(registry: Registry, ids: Sequence[str], model: str | None) -> ItemsOut:
    """The items with these ids, in their order; ids that are not in the model's catalog are left out.

    Raises:
        ConfigError: no such model, or an id longer than any.
    """
    catalog = registry.choose(model, None).view.catalog
    for one in ids:
        if one not in catalog:
            bounded(one, "item")
    counts = catalog.table["count"]
    return ItemsOut(
        items=[
            ItemOut(item=catalog.ids[at], title=catalog.titles[at], count=int(counts[at])) for at in catalog.known(ids)
        ]
    )


def similar(registry: Registry, item: str, limit: int, model: str | None) -> ItemsOut:
    """Items similar to one, by the cosine of the model's item vectors; without vectors, the list for a history of that item.

    Raises:
        UnknownItemError: no such item.
        ConfigError: no such model, or an id longer than any.
    """
    deployment = registry.choose(model, None)
    view, own = deployment.view, deployment.run.model
    catalog, retired = view.catalog, view.retired
    if not catalog.known([item]):
        bounded(item, "item")
    (at,) = catalog.indices([item])
    with deployment.using:
        best, cosines = similar_items(own, at, limit if retired is None else limit + int(retired.sum()))
    likeness: list[float | None] = [None] * len(best) if cosines is None else list(cosines)
    listed = [pair for pair in zip(best, likeness, strict=True) if retired is None or not retired[pair[0]]][:limit]
    counts = catalog.table["count"]
    return ItemsOut(
        items=[
            ItemOut(item=catalog.ids[one], title=catalog.titles[one], count=int(counts[one]), similarity=how)
            for one, how in listed
        ]
    )

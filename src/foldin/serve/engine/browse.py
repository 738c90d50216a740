"""Queries that need no user: items by text, and similar items."""

from foldin.ranking import similar_items
from foldin.serve.engine.registry import Registry
from foldin.serve.limits import bounded
from foldin.serve.schemas import ItemOut, ItemsOut

__all__ = ["search", "similar"]


def search(registry: Registry, text: str, limit: int, model: str | None) -> ItemsOut:
    """Items whose title contains the text, or whose id is the text, ignoring case.

    Items whose title begins with the text come first, then the most popular ones.

    Raises:
        ConfigError: no such model, or a text longer than any id.
    """
    catalog = registry.choose(model, None).run.catalog
    if not catalog.known([text]):
        bounded(text, "q")
    folded = text.casefold()
    counts = catalog.table["count"].to_list()
    found = [
        at
        for at, title in enumerate(catalog.titles)
        if folded in title.casefold() or folded == catalog.ids[at].casefold()
    ]
    found.sort(key=lambda at: (not catalog.titles[at].casefold().startswith(folded), -counts[at], at))
    items = [ItemOut(item=catalog.ids[at], title=catalog.titles[at], count=counts[at]) for at in found[:limit]]
    return ItemsOut(items=items)


def similar(registry: Registry, item: str, limit: int, model: str | None) -> ItemsOut:
    """Items similar to one, by the cosine of the model's item vectors; without vectors, the list for a history of that item.

    Raises:
        UnknownItemError: no such item.
        ConfigError: no such model, or an id longer than any.
    """
    deployment = registry.choose(model, None)
    catalog, own = deployment.run.catalog, deployment.run.model
    if not catalog.known([item]):
        bounded(item, "item")
    (at,) = catalog.indices([item])
    with deployment.using:
        best, cosines = similar_items(own, at, limit)
    likeness: list[float | None] = [None] * len(best) if cosines is None else list(cosines)
    counts = catalog.table["count"]
    return ItemsOut(
        items=[
            ItemOut(item=catalog.ids[one], title=catalog.titles[one], count=int(counts[one]), similarity=how)
            for one, how in zip(best, likeness, strict=True)
        ]
    )

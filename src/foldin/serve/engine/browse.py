"""Queries that need no user: items by text, similar items, and the models in service."""

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models import DotProduct, PosteriorSampler, capability
from foldin.ranking import rank
from foldin.serve.engine.registry import Registry
from foldin.serve.limits import bounded
from foldin.serve.schemas import ItemOut, ItemsOut, ModelOut, ModelsOut

__all__ = ["models", "search", "similar"]


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


@torch.no_grad()
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
    vectored = capability(own, DotProduct)
    if vectored is not None:
        vectors = F.normalize(vectored.item_vectors()[0], dim=1)
        cosine = vectors @ vectors[at]
        cosine[at] = -torch.inf
        best = torch.sort(cosine, descending=True, stable=True).indices[: min(limit, len(catalog) - 1)].tolist()
        likeness: list[float | None] = [float(cosine[one]) for one in best]
    else:
        with deployment.using:
            alone = rank(own, Histories.from_lists([[at]], len(catalog)), limit)
        best = [int(one) for one in alone.items[0] if one >= 0]
        likeness = [None] * len(best)
    counts = catalog.table["count"]
    return ItemsOut(
        items=[
            ItemOut(item=catalog.ids[one], title=catalog.titles[one], count=int(counts[one]), similarity=how)
            for one, how in zip(best, likeness, strict=True)
        ]
    )


def models(registry: Registry) -> ModelsOut:
    """The models in service."""
    shares = registry.shares
    return ModelsOut(
        models=[
            ModelOut(
                name=one.name,
                kind=one.run.name,
                run=one.digest,
                items=len(one.run.catalog),
                has_likelihood=one.run.model.has_likelihood,
                has_posterior=capability(one.run.model, PosteriorSampler) is not None,
                default=one.name == registry.default,
                share=shares.get(one.name),
                can_roll_back=registry.can_roll_back(one.name),
                waiting=one.waiting(),
                attributes=one.filters.names,
                repeats=one.repeats,
            )
            for one in registry.all()
        ]
    )

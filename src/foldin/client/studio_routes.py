"""The calls of the routes that the studio's pages use, one function a route."""

from collections.abc import Mapping, Sequence
from typing import Any

from foldin.client.reading import Call, read_as
from foldin.client.requests import Time, encoded
from foldin.client.studio import (
    Book,
    CodeBranches,
    DiffusionFrames,
    EMFrames,
    ItemMap,
    Report,
    UserOnMap,
    VIFrames,
)
from foldin.errors import ConfigError

__all__ = ["book", "codes", "film", "item_map", "lab_diffusion", "lab_em", "lab_vi", "report", "user_on_map"]


def report(name: str, *, live: bool = False) -> Call[Report]:
    """Training curve and test metrics of a model.

    Args:
        name: name of a model in service.
        live: whether to compute the bound report too, which takes a few seconds, once for each run.
    """
    return Call(
        method="GET",
        route="/v1/models/{name}/report",
        read=read_as(Report),
        values={"name": name},
        query={"live": "true" if live else "false"},
        repeatable=True,
    )


def codes(name: str, path: Sequence[int] = (), *, limit: int = 20) -> Call[CodeBranches]:
    """A node of the tree of item tokens.

    Args:
        name: name of a model in service.
        path: tokens from the root to the node.
        limit: maximum number of branches.
    """
    return Call(
        method="GET",
        route="/v1/models/{name}/codes",
        read=read_as(CodeBranches),
        values={"name": name},
        query={"path": list(path), "limit": limit},
        repeatable=True,
    )


def item_map(name: str) -> Call[ItemMap]:
    """All items of a model in the plane of the first two principal components of their vectors."""
    route = "/v1/models/{name}/map"
    return Call(method="GET", route=route, read=read_as(ItemMap), values={"name": name}, repeatable=True)


def user_on_map(
    name: str, history: Sequence[str], *, times: Sequence[Time] | None = None, seed: int = 0
) -> Call[UserOnMap]:
    """A user on the map of a model, with draws from the posterior.

    Args:
        name: name of a model in service.
        history: ids of items, oldest first; unknown ids are ignored.
        times: times of these events, one each, by which they are sorted.
        seed: seed of the draws.

    Raises:
        ConfigError: the history is a text.
    """
    if isinstance(history, str):
        raise ConfigError(f"history: a list was expected, not {history[:40]!r}")
    given: dict[str, Any] = {"history": history, "seed": seed} | ({} if times is None else {"times": times})
    return Call(
        method="POST",
        route="/v1/models/{name}/map:user",
        read=read_as(UserOnMap),
        values={"name": name},
        content=encoded(given),
        repeatable=True,
    )


def book() -> Call[Book]:
    """The chapters of the book, and whether its pages are installed."""
    return Call(method="GET", route="/v1/book", read=read_as(Book), repeatable=True)


def film(name: str, /, **version: str) -> Call[Mapping[str, Any]]:
    """A film of a figure of the book, computed by the library; keywords choose its version."""
    return Call(
        method="GET",
        route="/v1/book/films/{name}",
        read=read_as(Mapping[str, Any]),
        values={"name": name},
        query=version,
        repeatable=True,
    )


def lab_em(*, components: int = 3, steps: int = 30, seed: int = 0) -> Call[EMFrames]:
    """EM for a mixture of Gaussians, step by step.

    Args:
        components: number of components of the mixture.
        steps: number of iterations of EM.
        seed: seed of the data and of the algorithm.
    """
    query = {"components": components, "steps": steps, "seed": seed}
    return Call(method="GET", route="/v1/lab/em", read=read_as(EMFrames), query=query, repeatable=True)


def lab_vi(*, events: int = 5, steps: int = 300, seed: int = 0) -> Call[VIFrames]:
    """A Gaussian approximation of an exact posterior, step by step.

    Args:
        events: number of items that were shown.
        steps: largest number of gradient steps.
        seed: seed of the data and of the algorithm.
    """
    query = {"events": events, "steps": steps, "seed": seed}
    return Call(method="GET", route="/v1/lab/vi", read=read_as(VIFrames), query=query, repeatable=True)


def lab_diffusion(*, steps: int = 50, eta: float = 0.0, seed: int = 0) -> Call[DiffusionFrames]:
    """A diffusion sampler from noise to data, step by step.

    Args:
        steps: number of steps of the sampler.
        eta: noise of the sampler: 0 for DDIM, 1 for the ancestral sampler.
        seed: seed of the data and of the algorithm.
    """
    query = {"steps": steps, "eta": eta, "seed": seed}
    return Call(method="GET", route="/v1/lab/diffusion", read=read_as(DiffusionFrames), query=query, repeatable=True)

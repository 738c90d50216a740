"""The calls of the routes on models in service, one function a route."""

from collections.abc import Mapping

from foldin.client.models import Change, Drift, Models
from foldin.client.reading import Call, read_as
from foldin.client.requests import encoded

__all__ = ["changes", "deploy", "drift", "make_default", "models", "retire", "roll_back", "split"]

_MODELS = read_as(Models)


def models() -> Call[Models]:
    """The models in service, and those that all processes of the service are to serve."""
    return Call(method="GET", route="/v1/models", read=_MODELS, repeatable=True)


def deploy(run: str, *, name: str | None = None, default: bool = False, generation: int | None = None) -> Call[Models]:
    """Deploy a run; returns the models in service. The previous run of this name is kept for `roll_back`.

    Args:
        run: folder of the run on the machine of the service, or its URL, below one that the service may read.
        name: name in service; the last part of the run's address if omitted.
        default: whether to make it the default model.
        generation: generation that the model must have, 0 if there must be none of that name; None for any.

    """
    given = {"run": str(run), "name": name, "default": default or None, "generation": generation}
    content = encoded({key: value for key, value in given.items() if value is not None})
    return Call(method="POST", route="/v1/models", read=_MODELS, content=content)


def roll_back(name: str, *, generation: int | None = None) -> Call[Models]:
    """Restore the previous run of a model; returns the models in service.

    Args:
        name: name of the model.
        generation: generation that the model must have; None for any.
    """
    return _change("POST", "/v1/models/{name}:rollback", name, generation)


def make_default(name: str, *, generation: int | None = None) -> Call[Models]:
    """Make a model the default, for requests that do not choose one; returns the models in service.

    Args:
        name: name of the model.
        generation: generation that the model must have; None for any.
    """
    return _change("POST", "/v1/models/{name}:default", name, generation)


def retire(name: str, *, generation: int | None = None) -> Call[Models]:
    """Take a model out of service; a later deployment of the name brings it back. Returns the models in service.

    Args:
        name: name of the model.
        generation: generation that the model must have; None for any.
    """
    return _change("DELETE", "/v1/models/{name}", name, generation)


def _change(method: str, route: str, name: str, generation: int | None) -> Call[Models]:
    return Call(method=method, route=route, read=_MODELS, values={"name": name}, query={"generation": generation})


def split(shares: Mapping[str, float], *, revision: int | None = None) -> Call[Models]:
    """Split users between models, for requests that do not choose one; returns the models in service.

    Args:
        shares: share of the users by name of the model, which sum to 1; empty to end the split.
        revision: revision that must be the newest; None for any.
    """
    content = encoded({"shares": shares} | ({} if revision is None else {"revision": revision}))
    return Call(method="PUT", route="/v1/split", read=_MODELS, content=content, repeatable=revision is None)


def changes(*, limit: int = 100, before: int | None = None) -> Call[tuple[Change, ...]]:
    """The log of changes of the models in service, newest first.

    Args:
        limit: maximum number of changes.
        before: only changes of a lower revision, for reading on; None for the newest.
    """
    read = read_as(tuple[Change, ...], "changes")
    query = {"limit": limit, "before": before}
    return Call(method="GET", route="/v1/changes", read=read, query=query, repeatable=True)


def drift(*, model: str | None = None, limit: int = 1) -> Call[tuple[Drift, ...]]:
    """How far the latest events are from what the models in service were trained on, as measured last.

    Args:
        model: name of a model in service; None for all.
        limit: maximum number of measurements of each model, newest first.
    """
    read = read_as(tuple[Drift, ...], "drift")
    query = {"model": model, "limit": limit}
    return Call(method="GET", route="/v1/drift", read=read, query=query, repeatable=True)

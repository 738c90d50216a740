"""Models in service: list, deployment, roll back, the default, retirement, and the split of users."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, Request

from foldin.errors import ConfigError
from foldin.runs import is_url
from foldin.serve.api.access import Access
from foldin.serve.api.parameters import Generation, ModelInService
from foldin.serve.engine import commands, status
from foldin.serve.engine.fleet import Fleet
from foldin.serve.schemas import DeployRequest, ModelsOut, SplitRequest

__all__ = ["models"]


def models(fleet: Fleet, access: Access, roots: Sequence[str | Path]) -> APIRouter:
    """`/v1/models` and `/v1/split`. Every change is seen by all processes of the service within a second.

    Args:
        roots: folders and URLs below which runs may be deployed.
    """
    router, admin = APIRouter(tags=["models"]), access.after("admin")

    @router.get("/v1/models", dependencies=access.after("read"))
    def listed() -> ModelsOut:
        """List the models in service."""
        return status.models(fleet)

    @router.post("/v1/models", dependencies=admin)
    def deploy(request: DeployRequest, http: Request) -> ModelsOut:
        """Deploy a run. The previous model of this name serves until the new one has answered once, and is kept for roll back."""
        commands.deploy(
            fleet,
            _inside(request.run, roots),
            request.name,
            key=_key(http),
            default=request.default,
            generation=request.generation,
        )
        return status.models(fleet)

    @router.post("/v1/models/{name}:rollback", dependencies=admin)
    def roll_back(name: ModelInService, http: Request, generation: Generation = None) -> ModelsOut:
        """Restore the previous model of this name."""
        commands.roll_back(fleet, name, key=_key(http), generation=generation)
        return status.models(fleet)

    @router.post("/v1/models/{name}:default", dependencies=admin)
    def make_default(name: ModelInService, http: Request, generation: Generation = None) -> ModelsOut:
        """Make a model the default, for requests that do not choose one."""
        commands.make_default(fleet, name, key=_key(http), generation=generation)
        return status.models(fleet)

    @router.delete("/v1/models/{name}", dependencies=admin)
    def retire(name: ModelInService, http: Request, generation: Generation = None) -> ModelsOut:
        """Take a model out of service; a later deployment of the name brings it back."""
        commands.retire(fleet, name, key=_key(http), generation=generation)
        return status.models(fleet)

    @router.put("/v1/split", dependencies=admin)
    def split(request: SplitRequest, http: Request) -> ModelsOut:
        """Split users between models, for requests that do not choose a model; a user is always served by the same model."""
        commands.split(fleet, request.shares, key=_key(http), expected=request.revision)
        return status.models(fleet)

    return router


def _key(http: Request) -> str:
    return str(http.state.log["key"])


def _inside(run: str, roots: Sequence[str | Path]) -> str:
    """The address of a run, if it is below one of the roots.

    Raises:
        ConfigError: it is not.
    """
    try:
        if is_url(run):
            allowed = ".." not in run and any(run.startswith(f"{str(root).rstrip('/')}/") for root in roots)
        else:
            folder = Path(run).resolve()
            inside = (folder.is_relative_to(Path(root).resolve()) for root in roots if not is_url(str(root)))
            allowed = any(inside) and folder.is_dir()
            run = str(folder)
    except (OSError, ValueError):  # not a possible name of a folder
        allowed = False
    if not allowed:
        raise ConfigError(f"run: {run!r} is not inside a folder that this service may read")
    return run

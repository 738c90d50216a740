"""Models in service: list, deployment of a run, roll back, and the split of users between models."""

from pathlib import Path

from fastapi import APIRouter

from foldin.errors import ConfigError
from foldin.serve.api.access import Access
from foldin.serve.api.parameters import ModelInService
from foldin.serve.engine import browse
from foldin.serve.engine.service import Service
from foldin.serve.schemas import DeployRequest, ModelsOut, SplitRequest

__all__ = ["models"]


def models(service: Service, access: Access, roots: tuple[Path, ...]) -> APIRouter:
    """`/v1/models` and `/v1/split`.

    Args:
        roots: folders whose runs may be deployed.
    """
    router, admin = APIRouter(tags=["models"]), access.after("admin")

    @router.get("/v1/models", dependencies=access.after("read"))
    def listed() -> ModelsOut:
        """List the models in service."""
        return browse.models(service.registry)

    @router.post("/v1/models", dependencies=admin)
    def deploy(request: DeployRequest) -> ModelsOut:
        """Deploy a run. The previous model of this name serves until the new one has answered once, and is kept for roll back."""
        try:
            folder = Path(request.run).resolve()
            inside = any(folder.is_relative_to(root.resolve()) for root in roots) and folder.is_dir()
        except (OSError, ValueError):  # not a possible name of a folder
            inside = False
        if not inside:
            raise ConfigError(f"run: {request.run!r} is not inside a folder that this service may read")
        found = service.registry.deploy(folder, request.name)
        if request.default:
            service.registry.make_default(found.name)
        return browse.models(service.registry)

    @router.post("/v1/models/{name}:rollback", dependencies=admin)
    def roll_back(name: ModelInService) -> ModelsOut:
        """Restore the previous model of this name."""
        service.registry.roll_back(name)
        return browse.models(service.registry)

    @router.put("/v1/split", dependencies=admin)
    def split(request: SplitRequest) -> ModelsOut:
        """Split users between models, for requests that do not choose a model; a user is always served by the same model."""
        service.registry.split(request.shares)
        return browse.models(service.registry)

    return router

"""Models in service: which there are, putting a run in service, roll back, and the split between models."""

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
        roots: folders from whose runs models may be put in service.
    """
    router, admin = APIRouter(tags=["models"]), access.after("admin")

    @router.get("/v1/models", dependencies=access.after("read"))
    def listed() -> ModelsOut:
        """The models in service."""
        return browse.models(service.registry)

    @router.post("/v1/models", dependencies=admin)
    def deploy(request: DeployRequest) -> ModelsOut:
        """Put a run in service; the one that had its name goes on until the new one has answered, and is kept for roll back."""
        try:
            folder = Path(request.run).resolve()
            inside = any(folder.is_relative_to(root.resolve()) for root in roots) and folder.is_dir()
        except (OSError, ValueError):  # no name that a folder can have
            inside = False
        if not inside:
            raise ConfigError(f"run: {request.run!r} is not inside a folder that this service may read")
        found = service.registry.deploy(folder, request.name)
        if request.default:
            service.registry.make_default(found.name)
        return browse.models(service.registry)

    @router.post("/v1/models/{name}:rollback", dependencies=admin)
    def roll_back(name: ModelInService) -> ModelsOut:
        """Put back in service what served under this name before."""
        service.registry.roll_back(name)
        return browse.models(service.registry)

    @router.put("/v1/split", dependencies=admin)
    def split(request: SplitRequest) -> ModelsOut:
        """Divide the users whose requests name no model among models: the same user always to the same one."""
        service.registry.split(request.shares)
        return browse.models(service.registry)

    return router

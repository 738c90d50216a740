"""Routes of the studio: its pages, which work offline and without a build step, and their data."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from foldin.data import resolve_history
from foldin.serve.engine.service import Service
from foldin.serve.schemas import NAME
from foldin.serve.studio import code_tree, lab
from foldin.serve.studio.book import book_pages, book_routes
from foldin.serve.studio.insight import Insight
from foldin.serve.studio.schemas import (
    CodeBranches,
    DiffusionFrames,
    EMFrames,
    HistoryRequest,
    MapOut,
    ReportOut,
    UserOnMap,
    VIFrames,
)

__all__ = ["FOLDER", "lab_routes", "pages", "routes"]

FOLDER = Path(__file__).with_name("static")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
Name = Annotated[str, InPath(max_length=NAME, description="A model in service.")]
Code = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Query(ge=0, lt=2**31, description="Seed of the data and of the algorithm.")]


def pages() -> APIRouter:
    """The routes of the pages themselves, which need no key; the data that they request does."""
    router, files = book_pages(), {path.name: path for path in FOLDER.iterdir()}

    @router.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("studio/index.html")

    @router.get("/studio/{name}", include_in_schema=False)
    def file(name: str) -> FileResponse:
        path = _plotly() if name == "plotly.min.js" else files.get(name)
        if path is None or path.suffix not in _TYPES:
            raise HTTPException(404, f"no page {name[:40]!r}")
        return FileResponse(path, media_type=_TYPES[path.suffix])

    return router


def _plotly() -> Path | None:
    """plotly.js from the installed package `plotly`."""
    try:
        import plotly
    except ImportError:
        return None
    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def routes(service: Service, allowed: Callable[..., object]) -> APIRouter:
    """The routes of the data that the pages request.

    Args:
        service: the service that answers requests.
        allowed: the check of a key that may read.
    """
    router, insight = APIRouter(dependencies=[Depends(allowed)], tags=["studio"]), Insight()

    @router.get("/v1/models/{name}/report")
    def report(
        name: Name,
        live: Annotated[
            bool,
            Query(description="Whether to compute the bound report, which takes a few seconds, once for each run."),
        ] = False,
    ) -> ReportOut:
        """Training curve, test metrics and bound report of a model."""
        return insight.report(service.registry.get(name), live=live)

    @router.get("/v1/models/{name}/codes")
    def codes(
        name: Name,
        path: Annotated[list[Code] | None, Query(max_length=32, description="Tokens from the root.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of branches.")] = 20,
    ) -> CodeBranches:
        """A node of the tree of item tokens."""
        return code_tree.branches(service.registry.get(name), path or [], limit)

    @router.get("/v1/models/{name}/map")
    def item_map(name: Name) -> MapOut:
        """All items in the plane of the first two principal components of their vectors, or of what the model says of them."""
        return insight.map(service.registry.get(name))

    @router.post("/v1/models/{name}/map:user")
    def user(name: Name, asked: HistoryRequest) -> UserOnMap:
        """A user on the map, with draws from the posterior."""
        deployment = service.registry.get(name)
        history = resolve_history(deployment.run.catalog, asked.history, times=asked.times, repeats=deployment.repeats)
        return insight.user(deployment, history.histories(deployment.run.model.n_items), asked.seed)

    return router


def lab_routes(allowed: Callable[..., object]) -> APIRouter:
    """`/v1/lab` and `/v1/book`: EM, variational inference and diffusion, step by step; the book, with its figures.

    Args:
        allowed: the check of a key that may read.
    """
    router = book_routes(allowed)

    @router.get("/v1/lab/em")
    def em(
        components: Annotated[int, Query(ge=1, le=6, description="Number of components of the mixture.")] = 3,
        steps: Annotated[int, Query(ge=1, le=60, description="Number of iterations of EM.")] = 30,
        seed: Seed = 0,
    ) -> EMFrames:
        """EM for a mixture of Gaussians, step by step."""
        return lab.em(components, steps, seed)

    @router.get("/v1/lab/vi")
    def vi(
        events: Annotated[int, Query(ge=1, le=200, description="Number of items that were shown.")] = 5,
        steps: Annotated[int, Query(ge=1, le=600, description="Largest number of gradient steps.")] = 300,
        seed: Seed = 0,
    ) -> VIFrames:
        """A Gaussian approximation of an exact posterior, step by step."""
        return lab.vi(events, steps, seed)

    @router.get("/v1/lab/diffusion")
    def diffusion(
        steps: Annotated[int, Query(ge=1, le=200, description="Number of steps of the sampler.")] = 50,
        eta: Annotated[
            float, Query(ge=0, le=1, description="Noise of the sampler: 0 for DDIM, 1 for the ancestral sampler.")
        ] = 0.0,
        seed: Seed = 0,
    ) -> DiffusionFrames:
        """A diffusion sampler from noise to data, step by step."""
        return lab.diffusion(steps, eta, seed)

    return router

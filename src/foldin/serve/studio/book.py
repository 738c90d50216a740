"""The book in the studio: its pages if they are installed, its figures, and their films computed when asked for."""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, Response

from foldin.book import FIGURES, chapters, figures
from foldin.book.films import FILMS
from foldin.book.site import site
from foldin.errors import ConfigError, OverloadedError
from foldin.serve.schemas import NAME
from foldin.serve.studio.schemas import BookOut, ChapterOut

__all__ = ["book_pages", "book_routes"]

_TYPES = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
_INLINE = re.compile(r"<script>.*?</script>", flags=re.DOTALL)  # refused by the content policy of the studio
# Chapter → the figures that stand in it, in the order of its page.
OF_CHAPTER: dict[str, tuple[str, ...]] = {
    "maximum-likelihood": ("gaussian-fit",),
    "em": ("em",),
    "variational-inference": ("elbo-gap", "forward-reverse-kl", "gradient-clouds"),
    "aevb": ("gaussian-kl", "reparameterization", "vae-training"),
    "kl-decomposition": ("kl-bars",),
    "discrete-codes": ("codebook",),
    "diffusion": ("forward-noise", "posterior-product", "tweedie", "denoiser", "sampler-paths", "guidance"),
    "recommendation": ("ease-matrix", "attention-mask", "losses"),
    "judging": ("bootstrap-ndcg",),
}


def book_pages() -> APIRouter:
    """The modules of the figures, and the pages of the book, which need no key."""
    router = APIRouter()

    @router.get("/studio/figures/{name}", include_in_schema=False)
    def figure(name: str) -> FileResponse:
        path = FIGURES / name
        if path.parent != FIGURES or path.suffix not in _TYPES or not path.is_file():
            raise HTTPException(404, f"no file {name[:40]!r}")
        return FileResponse(path, media_type=_TYPES[path.suffix])

    @router.get("/studio/book/{place:path}", include_in_schema=False)
    def page(place: str) -> Response:
        path = _page(place)
        if path.suffix == ".html":
            return HTMLResponse(_INLINE.sub("", path.read_text(encoding="utf-8")))
        return FileResponse(path)

    return router


def _page(place: str) -> Path:
    try:
        root = site().resolve()
    except ConfigError as error:
        raise HTTPException(404, str(error)) from error
    path = (root / place).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise HTTPException(404, f"no page {place[:80]!r}")
    return path


def book_routes(allowed: Callable[..., object]) -> APIRouter:
    """`/v1/book`: the chapters with their figures, and the films of figures that show something learned.

    Args:
        allowed: the check of a key that may read.
    """
    router = APIRouter(dependencies=[Depends(allowed)], tags=["studio"])
    busy, kept = threading.Lock(), {}

    @router.get("/v1/book")
    def book() -> BookOut:
        """The chapters of the book, and whether its pages are installed."""
        try:
            site()
            installed = True
        except ConfigError:
            installed = False
        there = set(figures())
        return BookOut(
            installed=installed,
            chapters=[
                ChapterOut(
                    name=one.name,
                    number=one.number,
                    title=one.title["en"],
                    figures=[name for name in OF_CHAPTER.get(one.name, ()) if name in there],
                )
                for one in chapters().values()
            ],
        )

    @router.get("/v1/book/films/{name}")
    def film(
        name: Annotated[str, InPath(max_length=NAME, description="A film of a figure.")], request: Request
    ) -> dict[str, Any]:
        """A film of a figure, computed by the library; query parameters choose its version."""
        if name not in FILMS:
            raise HTTPException(404, f"no film {name[:40]!r}; there are {', '.join(FILMS)}")
        made = FILMS[name]
        asked = {key: request.query_params.get(key, str(values[0])) for key, values in made.choices.items()}
        version = next(
            (one for one in made.versions() if {key: str(value) for key, value in one.items()} == asked), None
        )
        if version is None:
            choices = "; ".join(f"{key}: {', '.join(map(str, values))}" for key, values in made.choices.items())
            raise ConfigError(f"the film {name!r} has no version {asked}; choices are {choices}")
        key = (name, *asked.values())
        if key not in kept:
            if not busy.acquire(blocking=False):  # a request that waited here would occupy a thread
                raise OverloadedError("another film is being computed; try again")
            try:
                kept[key] = made.make(**version)
            finally:
                busy.release()
        found: dict[str, Any] = kept[key]
        return found

    return router

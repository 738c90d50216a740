"""What the studio asks for and gets, described to the field."""

from typing import Any

from pydantic import BaseModel, Field

from foldin.serve.schemas import Id, Strict

__all__ = [
    "CodeBranch",
    "CodeBranches",
    "DiffusionFrames",
    "EMFrame",
    "EMFrames",
    "HistoryQuestion",
    "MapOut",
    "MapPoint",
    "PersonOnMap",
    "ReportOut",
    "VIFrame",
    "VIFrames",
]


class ReportOut(BaseModel):
    """How a model was trained and judged, and where its nats went."""

    model: str
    kind: str
    config: dict[str, Any] = Field(description="Its settings.")
    info: dict[str, Any] = Field(description="How the run was made.")
    history: list[dict[str, Any]] = Field(description="A record for each epoch.")
    metrics: dict[str, Any] = Field(description="On its test people, with intervals.")
    explained: dict[str, Any] | None = Field(description="The report of `foldin explain`, where it was asked for.")
    unexplained: str | None = Field(description="Why there is none.")
    levels: int | None = Field(description="Codes of an item's name, for semantic ids.")


class CodeBranch(BaseModel):
    """A code that goes on from a path."""

    code: int
    items: int = Field(description="Whose names go on with it.")
    share: float = Field(description="Of all training events.")
    titles: list[str] = Field(description="The most taken of its items.")
    item: str | None = Field(description="Its only item.")


class CodeBranches(BaseModel):
    """A node of the tree of semantic ids."""

    model: str
    path: list[int]
    items: int = Field(description="Whose names begin with the path.")
    of: int = Field(description="Branches that there are; those given have the most events.")
    branches: list[CodeBranch]


class MapPoint(BaseModel):
    """An item on the map."""

    item: str
    title: str
    count: int
    x: float
    y: float


class MapOut(BaseModel):
    """All items in the plane."""

    model: str
    explained: float = Field(description="Share of the variance of the item vectors that the plane shows.")
    items: list[MapPoint]


class HistoryQuestion(Strict):
    """Somebody's items."""

    history: list[Id] = Field(max_length=2000, description="Oldest first; unknown ones are left out.")
    model: str | None = Field(default=None, max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**31)


class PersonOnMap(BaseModel):
    """A person on the map."""

    mean: tuple[float, float]
    draws: list[tuple[float, float]] = Field(description="From the posterior; empty for a model without one.")


class EMFrame(BaseModel):
    """A mixture after a step of EM."""

    log_likelihood: float = Field(description="Nats a point.")
    weights: list[float]
    means: list[list[float]]
    covariances: list[list[list[float]]]
    responsibilities: list[list[float]] = Field(description="p(component | point).")


class EMFrames(BaseModel):
    """EM step by step."""

    points: list[list[float]]
    frames: list[EMFrame]


class VIFrame(BaseModel):
    """A Gaussian after so many steps of variational inference."""

    steps: int
    mean: float
    sd: float
    elbo: float = Field(description="Nats.")
    density: list[float] = Field(description="On the grid.")


class VIFrames(BaseModel):
    """Variational inference beside the exact posterior."""

    log_evidence: float = Field(description="Nats.")
    taken: int
    shown: int
    grid: list[float]
    posterior: list[float]
    frames: list[VIFrame]


class DiffusionFrames(BaseModel):
    """Points on their way from noise to data."""

    data: list[list[float]]
    frames: list[list[list[float]]]
    signal: list[float] = Field(description="ᾱ of each frame.")

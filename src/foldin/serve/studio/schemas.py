"""What the studio asks for and gets, described to the field."""

from typing import Any

from pydantic import BaseModel, Field

from foldin.serve.schemas import ItemId, Strict
from foldin.serve.times import Time

__all__ = [
    "CodeBranch",
    "CodeBranches",
    "DiffusionFrames",
    "EMFrame",
    "EMFrames",
    "HistoryRequest",
    "MapOut",
    "MapPoint",
    "ReportOut",
    "UserOnMap",
    "VIFrame",
    "VIFrames",
]


class ReportOut(BaseModel):
    """How a model was trained and judged, and where its nats went."""

    model: str = Field(description="Name of the model.")
    kind: str = Field(description="Which of the models of foldin.")
    config: dict[str, Any] = Field(description="Its settings.")
    info: dict[str, Any] = Field(description="How the run was made.")
    history: list[dict[str, Any]] = Field(description="A record for each epoch.")
    metrics: dict[str, Any] = Field(description="On its test users, with intervals.")
    explained: dict[str, Any] | None = Field(description="The report of `foldin explain`, where it was asked for.")
    unexplained: str | None = Field(description="Why there is none.")
    levels: int | None = Field(description="Codes of an item's name, for semantic ids.")


class CodeBranch(BaseModel):
    """A code that goes on from a path."""

    code: int = Field(description="Token at this level.")
    items: int = Field(description="Number of items whose tokens go on with it.")
    share: float = Field(description="Share of all training events.")
    titles: list[str] = Field(description="The most taken of its items.")
    item: str | None = Field(description="Its only item.")


class CodeBranches(BaseModel):
    """A node of the tree of semantic ids."""

    model: str = Field(description="Name of the model.")
    path: list[int] = Field(description="Codes from the root.")
    items: int = Field(description="Number of items whose tokens begin with the path.")
    of: int = Field(description="Branches that there are; those given have the most events.")
    branches: list[CodeBranch] = Field(description="Those with the most events first.")


class MapPoint(BaseModel):
    """An item on the map."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Training events.")
    x: float = Field(description="Along the first component.")
    y: float = Field(description="Along the second.")


class MapOut(BaseModel):
    """All items in the plane."""

    model: str = Field(description="Name of the model.")
    explained: float = Field(description="Share of the variance of the item vectors that the plane shows.")
    items: list[MapPoint] = Field(description="All of them, in the order of the catalog.")


class HistoryRequest(Strict):
    """Somebody's items."""

    history: list[ItemId] = Field(max_length=2000, description="Oldest first; unknown ones are left out.")
    times: list[Time] | None = Field(
        default=None, description="Times of these events, one each; they decide the order."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of the draws.")


class UserOnMap(BaseModel):
    """A user on the map."""

    mean: tuple[float, float] = Field(description="The user, x and y.")
    draws: list[tuple[float, float]] = Field(description="Draws from the posterior; empty for a model without one.")


class EMFrame(BaseModel):
    """A mixture after a step of EM."""

    log_likelihood: float = Field(description="Nats a point.")
    weights: list[float] = Field(description="Weights of the components.")
    means: list[list[float]] = Field(description="Means of the components.")
    covariances: list[list[list[float]]] = Field(description="Covariances of the components.")
    responsibilities: list[list[float]] = Field(description="p(component | point).")


class EMFrames(BaseModel):
    """EM step by step."""

    points: list[list[float]] = Field(description="The data.")
    frames: list[EMFrame] = Field(description="Before the first step, and after each.")


class VIFrame(BaseModel):
    """A Gaussian after so many steps of variational inference."""

    steps: int = Field(description="GivenHistory so far.")
    mean: float = Field(description="Mean of the Gaussian.")
    sd: float = Field(description="Standard deviation of the Gaussian.")
    elbo: float = Field(description="Nats.")
    density: list[float] = Field(description="On the grid.")


class VIFrames(BaseModel):
    """Variational inference beside the exact posterior."""

    log_evidence: float = Field(description="Nats.")
    taken: int = Field(description="Number of items taken, of those shown.")
    shown: int = Field(description="Things that were shown.")
    grid: list[float] = Field(description="Where densities are given.")
    posterior: list[float] = Field(description="The exact density on the grid.")
    frames: list[VIFrame] = Field(description="One for each of some numbers of steps.")


class DiffusionFrames(BaseModel):
    """Points on their way from noise to data."""

    data: list[list[float]] = Field(description="Points of the plane.")
    frames: list[list[list[float]]] = Field(description="Points after each step.")
    signal: list[float] = Field(description="ᾱ of each frame.")

"""Schemas of the studio's requests and responses."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from foldin.serve.schemas import ItemId, Strict
from foldin.serve.times import Time

__all__ = [
    "CodeBranch",
    "CodeBranches",
    "ComponentItem",
    "ComponentOut",
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


class EquationTermOut(BaseModel):
    """A term of an equation with its number."""

    mathml: str = Field(description="The term as MathML.")
    name: str = Field(description="Name of its color.")
    value: float | None = Field(description="Value in nats; null if it is not finite.")
    sign: str = Field(description="What stands in front of it: nothing, =, + or −.")
    only: str = Field(description="≥ if the value is a lower bound on the term, else nothing.")


class EquationOut(BaseModel):
    """An equation of the bound report with the numbers of the model."""

    label: str = Field(description="Label of the formula.")
    title: str = Field(description="What it is.")
    mathml: str = Field(description="The whole equation as MathML.")
    terms: list[EquationTermOut] = Field(description="Its terms in order.")
    sentence: str = Field(description="What the numbers say.")
    page: str = Field(description="Where the book derives it.")


class ComponentItem(BaseModel):
    """An item that is characteristic of a component."""

    item: str = Field(description="External id of the item.")
    title: str = Field(description="Title of the item.")
    share: float = Field(description="Probability of the item in the component.")


class ComponentOut(BaseModel):
    """A class of users, a topic or a factor of a model."""

    share: float = Field(description="Share of the component.")
    items: list[ComponentItem] = Field(
        description="Items that characterize it, by their contribution to the KL divergence from all events."
    )


class ReportOut(BaseModel):
    """Training curve, test metrics and bound report of a model."""

    model: str = Field(description="Name of the model.")
    kind: str = Field(description="Kind of model, as in `foldin models`.")
    config: dict[str, Any] = Field(description="Settings of the model.")
    info: dict[str, Any] = Field(description="Origin of the run: seed, source of the log, versions.")
    history: list[dict[str, Any]] = Field(description="Training terms and validation metric of each epoch.")
    metrics: dict[str, Any] = Field(description="Metrics on the test users, with intervals.")
    explained: dict[str, Any] | None = Field(description="The report of `foldin explain`, if it was requested.")
    unexplained: str | None = Field(description="Reason why there is no report; null otherwise.")
    equations: list[EquationOut] = Field(
        description="The equations of the bound with the model's numbers, if it was requested."
    )
    levels: int | None = Field(description="Number of tokens of an item, for models with item tokens; null otherwise.")
    components: list[ComponentOut] = Field(
        description="Classes, topics or factors, the largest first; empty for a model without them."
    )


class ChapterOut(BaseModel):
    """A chapter of the book."""

    name: str = Field(description="Name of its page.")
    number: int = Field(description="Number in the order of reading.")
    title: str = Field(description="Title.")
    figures: list[str] = Field(description="Names of its figures to move, in order.")


class BookOut(BaseModel):
    """The book on the formulas behind the models."""

    installed: bool = Field(description="Whether its pages are installed; the figures are always there.")
    chapters: list[ChapterOut] = Field(description="Its chapters in the order of reading.")


class CodeBranch(BaseModel):
    """A token that follows a path in the tree of item tokens."""

    code: int = Field(description="Token at this level.")
    items: int = Field(description="Number of items whose tokens begin with the path and this token.")
    share: float = Field(description="Share of these items in all training events.")
    titles: list[str] = Field(description="Titles of the most popular of these items.")
    item: str | None = Field(description="External id, if it is a single item; null otherwise.")


class CodeBranches(BaseModel):
    """A node of the tree of item tokens."""

    model: str = Field(description="Name of the model.")
    path: list[int] = Field(description="Tokens from the root to this node.")
    items: int = Field(description="Number of items whose tokens begin with the path.")
    of: int = Field(description="Number of branches of the node; `branches` has those with the most events.")
    branches: list[CodeBranch] = Field(description="Branches, those with the most training events first.")


class MapPoint(BaseModel):
    """An item on the map."""

    item: str = Field(description="External id of the item.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Number of training events of the item.")
    x: float = Field(description="Coordinate along the first principal component.")
    y: float = Field(description="Coordinate along the second principal component.")


class MapOut(BaseModel):
    """All items in the plane."""

    model: str = Field(description="Name of the model.")
    basis: Literal["vectors", "components", "profiles"] = Field(
        description="Vectors of the items: those of the model, `vectors`; the probabilities of its components given the item, "
        "`components`; or the item's scores after each of the most popular items alone, `profiles`."
    )
    explained: float = Field(description="Share of the variance of these vectors that the plane shows.")
    items: list[MapPoint] = Field(description="All items, in the order of the catalog.")


class HistoryRequest(Strict):
    """A history to place on the map."""

    history: list[ItemId] = Field(max_length=2000, description="Ids of items, oldest first; unknown ids are ignored.")
    times: list[Time] | None = Field(
        default=None, description="Times of these events, one each, by which they are sorted."
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of the draws.")


class UserOnMap(BaseModel):
    """A user on the map."""

    mean: tuple[float, float] = Field(
        description="Coordinates of the user; for a model without item vectors, the mean of the first ten items of the list."
    )
    draws: list[tuple[float, float]] = Field(
        description="Coordinates of draws from the posterior; empty for a model without a posterior."
    )


class EMFrame(BaseModel):
    """A mixture after a step of EM."""

    log_likelihood: float = Field(description="Log-likelihood in nats per point.")
    weights: list[float] = Field(description="Weights of the components.")
    means: list[list[float]] = Field(description="Means of the components.")
    covariances: list[list[list[float]]] = Field(description="Covariances of the components.")
    responsibilities: list[list[float]] = Field(description="p(component | point), for each point.")


class EMFrames(BaseModel):
    """EM step by step."""

    points: list[list[float]] = Field(description="Points of the data.")
    frames: list[EMFrame] = Field(description="The mixture before the first step, and after each step.")


class VIFrame(BaseModel):
    """A Gaussian approximation after some steps of variational inference."""

    steps: int = Field(description="Number of gradient steps so far.")
    mean: float = Field(description="Mean of the Gaussian.")
    sd: float = Field(description="Standard deviation of the Gaussian.")
    elbo: float = Field(description="ELBO in nats.")
    density: list[float] = Field(description="Density of the Gaussian on the grid.")


class VIFrames(BaseModel):
    """Variational inference compared with the exact posterior."""

    log_evidence: float = Field(description="Log-evidence in nats.")
    taken: int = Field(description="Number of items taken, of those shown.")
    shown: int = Field(description="Number of items that were shown.")
    grid: list[float] = Field(description="Values of θ at which densities are given.")
    posterior: list[float] = Field(description="Density of the exact posterior on the grid.")
    frames: list[VIFrame] = Field(description="The approximation after some numbers of steps.")


class DiffusionFrames(BaseModel):
    """Points that a sampler moves from noise to data."""

    data: list[list[float]] = Field(description="Points of the data.")
    frames: list[list[list[float]]] = Field(description="Positions of the points after each step.")
    signal: list[float] = Field(description="Signal rate ᾱ of each frame.")

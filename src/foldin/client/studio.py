"""Answers of the routes that the studio's pages use: reports, the map, item tokens, the lab and the book."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Book",
    "Chapter",
    "CodeBranch",
    "CodeBranches",
    "Component",
    "ComponentItem",
    "DiffusionFrames",
    "EMFrame",
    "EMFrames",
    "Equation",
    "EquationTerm",
    "ItemMap",
    "MapPoint",
    "Report",
    "UserOnMap",
    "VIFrame",
    "VIFrames",
]

Vector = tuple[float, ...]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EquationTerm:
    """A term of an equation with its number, in nats."""

    mathml: str
    name: str
    value: float | None
    sign: str
    only: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Equation:
    """An equation of the bound report with the numbers of the model."""

    label: str
    title: str
    mathml: str
    terms: tuple[EquationTerm, ...]
    sentence: str
    page: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentItem:
    """An item that is characteristic of a component, and its probability there."""

    item: str
    title: str
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A class of users, a topic or a factor of a model, with its share."""

    share: float
    items: tuple[ComponentItem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Training curve, test metrics and, if `live` was requested, the bound report of a model."""

    model: str
    kind: str
    config: Mapping[str, Any]
    info: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Any]
    explained: Mapping[str, Any] | None
    unexplained: str | None
    equations: tuple[Equation, ...]
    levels: int | None
    components: tuple[Component, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBranch:
    """A token that follows a path in the tree of item tokens."""

    code: int
    items: int
    share: float
    titles: tuple[str, ...]
    item: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeBranches:
    """A node of the tree of item tokens."""

    model: str
    path: tuple[int, ...]
    items: int
    of: int
    branches: tuple[CodeBranch, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MapPoint:
    """An item on the map, at its first two principal components."""

    item: str
    title: str
    count: int
    x: float
    y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemMap:
    """All items in the plane, which shows the share `explained` of the variance of their vectors.

    `basis` says what these are: the model's `vectors`, the `components` of each item, or `profiles` of scores.
    """

    model: str
    basis: str
    explained: float
    items: tuple[MapPoint, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class UserOnMap:
    """A user on the map, with draws from the posterior."""

    mean: tuple[float, float]
    draws: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chapter:
    """A chapter of the book."""

    name: str
    number: int
    title: str
    figures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """The chapters of the book, and whether its pages are installed."""

    installed: bool
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EMFrame:
    """A mixture of Gaussians after a step of EM."""

    log_likelihood: float
    weights: Vector
    means: Matrix
    covariances: tuple[Matrix, ...]
    responsibilities: Matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class EMFrames:
    """EM for a mixture of Gaussians, step by step."""

    points: Matrix
    frames: tuple[EMFrame, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VIFrame:
    """A Gaussian approximation after some steps of variational inference."""

    steps: int
    mean: float
    sd: float
    elbo: float
    density: Vector


@dataclass(frozen=True, kw_only=True, slots=True)
class VIFrames:
    """Variational inference compared with the exact posterior."""

    log_evidence: float
    taken: int
    shown: int
    grid: Vector
    posterior: Vector
    frames: tuple[VIFrame, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionFrames:
    """Points that a sampler moves from noise to data."""

    data: Matrix
    frames: tuple[Matrix, ...]
    signal: Vector

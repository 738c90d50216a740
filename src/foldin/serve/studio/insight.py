"""The data of the studio on a model: training curve, test metrics, components, bound report, and a map of the items."""

import json
import threading
from typing import Any, TypeVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError, FoldinError, OverloadedError
from foldin.experiment import split_of_run
from foldin.inference import Annealing, reparameterize
from foldin.models import Components, DotProduct, LatentPosterior, capability, required, top_items
from foldin.ranking import Eligibility, rank
from foldin.reports.equations import substituted
from foldin.reports.explanation import explain, subject_of_run
from foldin.runs import load_run
from foldin.runs.pointer import digest_in
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.deployment import Deployment
from foldin.serve.studio.code_tree import levels
from foldin.serve.studio.item_plane import ItemPlane, item_plane
from foldin.serve.studio.schemas import (
    ComponentItem,
    ComponentOut,
    EquationOut,
    MapOut,
    MapPoint,
    ReportOut,
    UserOnMap,
)
from foldin.tensors import Array, Float64

__all__ = ["Insight", "user_on_map"]

_USERS, _DRAWS = 100, 50  # users and draws of a live report, which takes a few seconds
_ANNEALED, _ANNEALING = 10, Annealing(temperatures=100, leapfrogs=5)
_POSTERIOR = 200
_KEPT = 8  # number of runs
_LISTED, _TELLING = 10, 10  # items of a list on the map, and items that characterize a component

T = TypeVar("T")


class Insight:
    """Reports and maps, computed once for each run and cached."""

    def __init__(self) -> None:
        self._mapping, self._explaining, self._describing = threading.Lock(), threading.Lock(), threading.Lock()
        self._planes: dict[str, ItemPlane] = {}
        self._maps: dict[str, tuple[CatalogView, MapOut]] = {}
        self._components: dict[str, tuple[CatalogView, list[ComponentOut]]] = {}
        self._reports: dict[str, dict[str, Any]] = {}

    def report(self, deployment: Deployment, *, live: bool) -> ReportOut:
        """Settings, training curve and test metrics of a run; with `live`, its bound report on a hundred held-out users too.

        If the live report cannot be made (no density, the data moved), `unexplained` gives the reason.

        Raises:
            OverloadedError: another live report is being computed.
        """
        run = deployment.run
        lines, metrics = run.folder / "history.jsonl", run.folder / "metrics.json"
        # After another training in the same folder and a roll back, the files there belong to another run.
        here = digest_in(run.folder) == run.info["digest"]
        history = (
            [json.loads(line) for line in lines.read_text("utf-8").splitlines()] if here and lines.is_file() else []
        )
        judged = json.loads(metrics.read_text("utf-8")) if here and metrics.is_file() else {}
        explained, unexplained = self._reports.get(deployment.digest), None
        if live and explained is None:
            if not self._explaining.acquire(blocking=False):  # a request that waited here would occupy a thread
                raise OverloadedError("another report is being computed; try again")
            try:
                explained = self._reports.get(deployment.digest)
                if explained is None:
                    # A copy of the model, so that requests for lists need not wait meanwhile.
                    own = load_run(run.folder)
                    if own.info["digest"] != run.info["digest"]:
                        raise ConfigError("the run directory contains another run by now")
                    explained = explain(
                        subject_of_run(own),
                        split_of_run(own, None),
                        users=_USERS,
                        draws=_DRAWS,
                        annealed=_ANNEALED,
                        annealing=_ANNEALING,
                        seed=0,
                    )
                    _keep(self._reports, deployment.digest, explained)
            except (FoldinError, OSError, KeyError) as error:
                unexplained = str(error)
            finally:
                self._explaining.release()
        equations = substituted(explained["bounds"]) if explained is not None and "bounds" in explained else []
        return ReportOut(
            model=deployment.name,
            kind=run.name,
            config=run.model.config.as_dict(),
            info={key: value for key, value in run.info.items() if key not in {"files", "digest"}},
            history=history,
            metrics=judged,
            explained=explained,
            unexplained=unexplained,
            equations=[EquationOut(**one.as_dict()) for one in equations],
            levels=levels(deployment),
            components=self.components(deployment),
        )

    def map(self, deployment: Deployment) -> MapOut:
        """The items of a model in the plane of `item_plane`, with their newest titles, and without those that were retired."""
        return self._mapped(deployment)[0].model_copy(update={"model": deployment.name})

    def _mapped(self, deployment: Deployment) -> tuple[MapOut, ItemPlane]:
        digest, view = deployment.edition, deployment.view
        with self._mapping:
            if digest not in self._planes:
                _keep(self._planes, digest, item_plane(deployment.run.model, view.base, deployment.using))
            plane = self._planes[digest]
            if digest not in self._maps or self._maps[digest][0] is not view:
                _keep(self._maps, digest, (view, _drawn(deployment.name, view, plane)))
            return self._maps[digest][1], plane

    def user(self, deployment: Deployment, history: Histories, seed: int) -> UserOnMap:
        """A user on the map: the query of a model with item vectors, and draws of it from the posterior where it has one.

        Its distance from the center is that of an item at the edge of the map, since only the direction matters for a list. A
        user of any other model is where the first ten items of the list are, on average.
        """
        shown, plane = self._mapped(deployment)
        with deployment.using:
            if plane.basis != "vectors":
                return list_on_map(deployment, history, plane)
            edge = max((abs(point.x) + abs(point.y) for point in shown.items), default=1.0)
            return user_on_map(deployment, history, plane.axes, edge, seed)

    def components(self, deployment: Deployment) -> list[ComponentOut]:
        """The classes, topics or factors of a model, the largest first; none for a model without them."""
        digest, view = deployment.edition, deployment.view
        with self._describing:
            if digest not in self._components or self._components[digest][0] is not view:
                _keep(self._components, digest, (view, components(deployment)))
            return self._components[digest][1]


def _drawn(name: str, view: CatalogView, plane: ItemPlane) -> MapOut:
    """See `Insight.map`."""
    catalog, at = view.catalog, np.round(plane.points, 5).tolist()
    counts = catalog.table["count"].to_list()
    points = [
        MapPoint(item=catalog.ids[i], title=catalog.titles[i], count=counts[i], x=at[i][0], y=at[i][1])
        for i in range(len(catalog))
        if view.retired is None or not view.retired[i]
    ]
    return MapOut(model=name, basis=plane.basis, explained=plane.explained, items=points)


def _keep(kept: dict[str, T], digest: str, found: T) -> None:
    """Add a result to the cache and drop the oldest ones, so that the memory of a long-running service is bounded."""
    kept[digest] = found
    while len(kept) > _KEPT:
        kept.pop(next(iter(kept)))


@torch.no_grad()
def user_on_map(
    deployment: Deployment, users: Histories, axes: Float64[Array, "width 2"], edge: float, seed: int
) -> UserOnMap:
    """See `Insight.user`."""
    model = deployment.run.model
    drawn = required(model, DotProduct, "a map needs item vectors").queries(users)
    latent = capability(model, LatentPosterior)
    if latent is not None:
        generator = torch.Generator(model.device).manual_seed(seed)
        mu, logvar = (one.expand(_POSTERIOR, -1).contiguous() for one in latent.posterior(users))
        drawn = torch.cat((drawn, latent.queries_at(reparameterize(mu, logvar, generator))))
    flat = drawn.detach().cpu().numpy().astype(np.float64) @ axes
    scale = edge / max(float(np.linalg.norm(flat, axis=1).max()), 1e-300)
    points = np.round(scale * flat, 5).tolist()
    return UserOnMap(mean=points[0], draws=points[1:])


def list_on_map(deployment: Deployment, users: Histories, plane: ItemPlane) -> UserOnMap:
    """See `Insight.user`."""
    eligible = Eligibility.of(users, deny=deployment.view.retired)
    listed = rank(deployment.run.model, users, _LISTED, eligible=eligible).items[0]
    mean = plane.points[listed[listed >= 0]].mean(axis=0) if (listed >= 0).any() else np.zeros(2)
    x, y = np.round(mean, 5).tolist()
    return UserOnMap(mean=(x, y), draws=[])


def components(deployment: Deployment) -> list[ComponentOut]:
    """See `Insight.components`."""
    model, view = deployment.run.model, deployment.view
    catalog, retired = view.catalog, view.retired
    parts = capability(model, Components)
    if parts is None:
        return []
    weights, shares = parts.components()
    telling = top_items(parts, min(_TELLING + (0 if retired is None else int(retired.sum())), model.n_items))
    return [
        ComponentOut(
            share=float(weights[at]),
            items=[
                ComponentItem(item=catalog.ids[i], title=catalog.titles[i], share=float(shares[at, i]))
                for i in [one for one in telling[at].tolist() if retired is None or not retired[one]][:_TELLING]
                if shares[at, i] > 0
            ],
        )
        for at in np.argsort(-weights, kind="stable").tolist()
    ]

"""The data of the studio on a model: training curve, test metrics, bound report, and a map of the items."""

import json
import threading
from typing import Any, TypeVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError, FoldinError, OverloadedError
from foldin.experiment import split_of_run
from foldin.inference import Annealing, reparameterize
from foldin.models import DotProduct, LatentPosterior, capability, required
from foldin.reports.equations import substituted
from foldin.reports.explanation import explain, subject_of_run
from foldin.runs import load_run
from foldin.serve.engine.registry import Deployment, digest_in
from foldin.serve.studio.code_tree import levels
from foldin.serve.studio.schemas import EquationOut, MapOut, MapPoint, ReportOut, UserOnMap
from foldin.tensors import Array, Float64

__all__ = ["Insight", "user_on_map"]

_USERS, _DRAWS = 100, 50  # users and draws of a live report, which takes a few seconds
_ANNEALED, _ANNEALING = 10, Annealing(temperatures=100, leapfrogs=5)
_POSTERIOR = 200
_KEPT = 8  # number of runs

T = TypeVar("T")


class Insight:
    """Reports and maps, computed once for each run and cached."""

    def __init__(self) -> None:
        self._mapping, self._explaining = threading.Lock(), threading.Lock()
        self._maps: dict[str, tuple[MapOut, Float64[Array, "width 2"], Float64[Array, " width"]]] = {}
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
        )

    def map(self, deployment: Deployment) -> MapOut:
        """All items in the plane: the two directions in which the model's item vectors differ most (PCA).

        Raises:
            ConfigError: a model without item vectors.
        """
        return self._mapped(deployment)[0]

    def _mapped(self, deployment: Deployment) -> tuple[MapOut, Float64[Array, "width 2"], Float64[Array, " width"]]:
        model, catalog = deployment.run.model, deployment.run.catalog
        placed = required(model, DotProduct, f"map: {deployment.name} has no item vectors")
        with self._mapping:
            if deployment.digest not in self._maps:
                vectors = placed.item_vectors()[0].detach().cpu().numpy().astype(np.float64)
                center = vectors.mean(axis=0)
                _, sizes, rows = np.linalg.svd(np.atleast_2d(np.cov(vectors - center, rowvar=False, ddof=0)))
                axes = rows[:2].T
                axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
                axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))  # vectors of width 1 lie on a line
                at = np.round((vectors - center) @ axes, 5)
                counts = catalog.table["count"].to_list()
                points = [
                    MapPoint(
                        item=catalog.ids[i],
                        title=catalog.titles[i],
                        count=counts[i],
                        x=float(at[i, 0]),
                        y=float(at[i, 1]),
                    )
                    for i in range(len(catalog))
                ]
                share = float(sizes[:2].sum() / max(sizes.sum(), 1e-300))
                shown = MapOut(model=deployment.name, explained=share, items=points)
                _keep(self._maps, deployment.digest, (shown, axes, center))
            kept = self._maps[deployment.digest]
            return kept[0].model_copy(update={"model": deployment.name}), *kept[1:]

    def user(self, deployment: Deployment, history: Histories, seed: int) -> UserOnMap:
        """A user on the map: the query, and draws of it from the posterior where the model has one.

        Its distance from the center is that of an item at the edge of the map, since only the direction matters for a list.

        Raises:
            ConfigError: a model without item vectors.
        """
        shown, axes, _ = self._mapped(deployment)
        edge = max((abs(point.x) + abs(point.y) for point in shown.items), default=1.0)
        with deployment.using:
            return user_on_map(deployment, history, axes, edge, seed)


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

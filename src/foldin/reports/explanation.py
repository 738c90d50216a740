"""The bound report as data: of a run on its held-out users, or of a generative model in a file on test pictures."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from foldin.data import Catalog, Split, load_pictures
from foldin.errors import ConfigError, RunError
from foldin.evaluation import bound_report, calibration_curve, expert_report, likelihood_bound
from foldin.generative import VAE, bits_per_value, load_model
from foldin.inference import Annealing, Called
from foldin.inference import bound_report as report_of
from foldin.models import (
    BoundedLikelihood,
    Components,
    Experts,
    ItemTokens,
    LatentPosterior,
    Recommender,
    capability,
    top_items,
)
from foldin.runs import Run

__all__ = ["Subject", "explain", "explain_file", "subject_of_run"]

_TELLING = 6


class Subject(NamedTuple):
    """A trained model to report on, with its catalog, its metrics and its training history.

    Args:
        name: name of the model.
        model: the model.
        catalog: its items.
        metrics: the summary of its evaluation on test users.
        history: training history, a record for each epoch.
        data: name of the log.
        where: name of the model or run in error messages.
    """

    name: str
    model: Recommender[Any]
    catalog: Catalog
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    data: str
    where: str

    def check_density(self) -> None:
        """Check that the model has a density.

        Raises:
            ConfigError: it has none, so that nothing can be reported in nats.
        """
        if not self.model.has_likelihood:
            raise ConfigError(
                f"{self.where}: {self.name} has no density, so that nothing can be reported in nats; calibration gives it one "
                "(calibrate=True, fit --calibrate)"
            )


def subject_of_run(run: Run) -> Subject:
    """The subject of a finished run.

    Raises:
        RunError: the run contains no metrics of its test users.
    """
    if not (run.folder / "metrics.json").is_file():
        raise RunError(f"{run.folder}: the run has no metrics.json: it was saved without an evaluation")
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    if run.model.has_likelihood and "log_likelihood_per_item" not in metrics:
        raise RunError(
            f"{run.folder}: metrics.json has no held-out log-likelihood: the run was not evaluated by `foldin fit`"
        )
    lines = (run.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    data = str((run.info.get("source") or {}).get("path", "its log"))
    history = [json.loads(line) for line in lines]
    return Subject(run.name, run.model, run.catalog, metrics, history, data, str(run.folder))


def explain(
    subject: Subject,
    split: Split,
    *,
    users: int,
    draws: int,
    seed: int,
    annealed: int = 50,
    annealing: Annealing = Annealing(),  # noqa: B008 (immutable)
    progress: Any = None,
) -> dict[str, Any]:
    """The report of a trained model as data.

    Args:
        subject: the model to report on; see `subject_of_run`.
        split: the split of its log, with the held-out users.
        users, draws, seed, annealed, annealing, progress: see `evaluation.bound_report`.

    Raises:
        ConfigError: the model has no density, so that nothing can be reported in nats.
    """
    subject.check_density()
    model, metrics = subject.model, subject.metrics
    content: dict[str, Any] = {
        "run": subject.where,
        "model": subject.name,
        "data": subject.data,
        "protocol": split.protocol,
        "config": model.config.as_dict(),
        "log_likelihood_per_item": metrics["log_likelihood_per_item"],
        "perplexity": metrics["perplexity"],
        "perplexity_per_event": metrics.get("perplexity_per_event"),  # which older runs do not have
        "calibration": calibration_curve(model, split.test),
        "history": list(subject.history),
    }
    bounded = capability(model, BoundedLikelihood)
    if bounded is not None:
        content["bound"] = likelihood_bound(bounded, split.test, users=users, seed=seed)
    latent = capability(model, LatentPosterior)
    if latent is not None:
        content["bounds"] = bound_report(
            latent,
            split.test,
            users=users,
            draws=draws,
            annealed=annealed,
            annealing=annealing,
            seed=seed,
            progress=progress,
        )
    parts = capability(model, Components)
    if parts is not None:
        shares, _ = parts.components()
        telling = top_items(parts, min(_TELLING, model.n_items))
        content["components"] = [
            {"share": float(shares[at]), "items": [subject.catalog.titles[i] for i in telling[at].tolist()]}
            for at in np.argsort(-shares, kind="stable").tolist()
        ]
    experts = capability(model, Experts)
    if experts is not None and len(experts.expert_names()) > 1:
        content["experts"] = expert_report(model, split.validation, split.test)
    tokens = capability(model, ItemTokens)
    if tokens is not None:
        use = tokens.token_use()
        content["item_tokens"] = {
            "used": use.used.tolist(),
            "perplexity": use.perplexity.tolist(),
            "entropy": use.entropy.tolist(),
            "shared": use.shared.tolist(),
            "codes": tokens.branching(),
            "collisions": use.collisions,
            "largest": use.largest,
            "alarms": list(use.alarms),
        }
    return content


def explain_file(
    path: Path,
    pictures: str,
    *,
    device: str | torch.device,
    users: int,
    draws: int,
    seed: int,
    annealed: int = 50,
    annealing: Annealing = Annealing(),  # noqa: B008 (immutable)
    progress: Any = None,
) -> dict[str, Any]:
    """The report, as data, of a generative model that is stored in a file, measured on the test pictures.

    Raises:
        RunError: the file holds no generative model.
        ConfigError: the model has no posterior q(z|x), so that there is no bound to report.
        DataError: the pictures cannot be read, or have values outside the support of the model's likelihood.
        ShapeError: the pictures have another shape than the model's.
    """
    model = load_model(path, device=device)
    if not isinstance(model, VAE):
        raise ConfigError(
            f"{path}: {type(model).__name__} has no posterior over a latent vector, so there is no bound to report"
        )
    test = load_pictures(pictures).test.rows(0, users)
    model.elbo(test.rows(0, 1), torch.Generator(model.device).manual_seed(seed))  # checks shape and values
    values, called = math.prod(test.shape), Called("picture", "pictures", "pixel")
    bounds = report_of(
        model,
        test,
        np.full(len(test), float(values)),
        called=called,
        draws=draws,
        annealed=annealed,
        annealing=annealing,
        seed=seed,
        progress=progress,
    )
    offset = values * model.likelihood.offset
    bits = {
        name: None if entry["per_picture"] is None else bits_per_value(entry["per_picture"] + offset, values)
        for name, entry in (("elbo", bounds["bound"]["elbo"]), ("best_bound", bounds["gap"]["best_bound"]))
    }
    return {
        "file": str(path),
        "model": "vae",
        "data": pictures,
        "config": model.config.as_dict(),
        "bits_per_pixel": bits,
        "bounds": bounds,
    }

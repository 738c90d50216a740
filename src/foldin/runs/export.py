"""A trained model as an ONNX file: history in, list out, for runtimes that have neither foldin nor PyTorch.

The graph scores the history, excludes the items in it, and takes the k best. Inputs and outputs:

    history   int64 (users, events)   item indices, oldest first, −1 on the right where a history is shorter
    items     int64 (users, k)        best first, among equals the lower index; −1 where a list is shorter
    scores    float32 (users, k)      as in `RankedLists`: for a likelihood model log p(item | history, not taken yet), in nats

The item ids, in the order of their indices, are in the file's metadata as a JSON list under "items".
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from foldin.data import Catalog
from foldin.errors import ConfigError, MissingExtraError
from foldin.files import write_atomically
from foldin.models import MODELS, OnnxGraph, Recommender, capability, has_capability
from foldin.tensors import Float, Int, Tensor

__all__ = ["export_onnx"]

_OPSET = 18


class _Lists(nn.Module):
    """Scores → exclusion of the history's items → top-k, in plain tensor operations."""

    def __init__(self, model: Recommender, scorer: OnnxGraph, k: int) -> None:
        super().__init__()
        self.scorer, self.n_items, self.k, self.normalized = scorer, model.n_items, k, model.has_likelihood
        self.temperature = model.temperature

    def forward(self, history: Int[Tensor, "users length"]) -> tuple[Int[Tensor, "users k"], Float[Tensor, "users k"]]:
        logits = self.scorer.padded_logits(history)
        if self.temperature is not None:
            logits = torch.where((history >= 0).any(dim=1, keepdim=True), logits / self.temperature, logits)
        known = (history >= 0).to(logits.dtype)
        taken = torch.zeros_like(logits).scatter_add(1, history.clamp(min=0), known)
        logits = logits.masked_fill(taken > 0, -torch.inf)
        scores, items = logits.topk(self.k, dim=1)
        none = scores == -torch.inf
        if self.normalized:
            scores = scores - torch.logsumexp(logits, dim=1, keepdim=True)
        return items.masked_fill(none, -1), scores.masked_fill(none, -torch.inf)


@contextmanager
def _quiet() -> Iterator[None]:
    """A context without the exporter's warnings of its own deprecations and of torchvision, which is not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def export_onnx(model: Recommender, catalog: Catalog, path: Path, *, k: int = 10) -> None:
    """Write the model's lists of length k as an ONNX graph, for any number of users and events.

    Raises:
        ConfigError: the model cannot be exported, or `k` is not between 1 and the number of items.
        MissingExtraError: the packages `onnx` and `onnxscript` are not installed.
    """
    scorer = capability(model, OnnxGraph)
    if scorer is None:
        able = ", ".join(name for name, one in MODELS.usable().items() if has_capability(one.model_class, OnnxGraph))
        raise ConfigError(model.lacks(OnnxGraph) or f"{type(model).__name__} cannot be exported; these can: {able}")
    if not 1 <= k <= model.n_items:
        raise ConfigError(f"k = {k}: a list of 1 to {model.n_items} places was expected")
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "export") from error
    sample = torch.tensor([[0, -1, -1], [0, 0, -1]], device=model.device)
    dynamic = {"history": {0: torch.export.Dim("users"), 1: torch.export.Dim("events")}}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Lists(model, scorer, k),
            (sample,),
            input_names=["history"],
            output_names=["items", "scores"],
            dynamic_shapes=dynamic,
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    onnx.helper.set_model_props(
        graph, {"foldin_model": type(model).__name__, "k": str(k), "items": json.dumps(catalog.ids)}
    )
    onnx.checker.check_model(graph)
    write_atomically(path, lambda part: onnx.save(graph, part))

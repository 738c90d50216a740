"""Indexes over the items of a model, which find the best of them without scoring all.

The score s(u, i) = ⟨q_u, w_i⟩ + b_i is the inner product of [q_u, 1] and x_i = [w_i, b_i]. FAISS searches the vectors
[x_i, √(M² − ‖x_i‖²)], with M = max ‖x_i‖, for the nearest neighbors of [q_u, 1, 0]. Since their squared distance is
‖q_u‖² + 1 + M² − 2 s(u, i), the nearest items are the best ones. A graph or a clustering by distances finds them where one by
inner products does not: there, the longest vectors are the neighbors of all items, and the others have none. A product quantizer
divides vectors into M parts, so that columns of zeros, which change no distance, fill them up to a multiple of M. They are spread
over the parts, so that no part codes nothing but zeros.

Source: bachrach2014, section 3 (the transformation); malkov2020 (the graph, HNSW).
"""

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.errors import ConfigError, MissingExtraError, RunError
from foldin.models import DotProduct, Recommender, required
from foldin.tensors import Array, Bool, Float, Float32, Int, Int64, Tensor

__all__ = ["DEFAULT_INDEX", "ItemIndex", "build_index", "check_description", "fingerprint"]

DEFAULT_INDEX = "HNSW32,SQ8"
_ROWS = 1 << 14  # vectors that are converted at once
_SAMPLED = 1 << 17  # vectors from which clusters and scales are learned, at most; more for more than 2048 clusters
_OF_A_CLUSTER = 64
_CONSTRUCTION = 100  # neighbors that are considered for each new item of a graph
_OF_A_TENSOR = 4096  # values of each tensor that a fingerprint reads
# Sizes at which FAISS ends the process instead of raising an error.
_ENDLESS = re.compile(r"[A-Za-z]0+(?!\d)|HNSW0*1(?!\d)")
_PARTS = re.compile(r"P(?:R|LS)?Q(\d{1,3})")  # number of parts of a product quantizer


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """An index over the items of one model.

    Args:
        description: FAISS' description of the index: `Flat`, `HNSW32,SQ8`, `IVF4096,SQ8`, …
        fingerprint: fingerprint of the model that it was built from.
        n_items: number of items.
        effort: effort of a search: `efSearch` of HNSW, `nprobe` of IVF; None for an index that compares all vectors.
        recall: share of the exact lists that was found with this effort; None if it was not measured.
        measured_k: length of these lists.
    """

    description: str
    fingerprint: str
    n_items: int
    effort: int | None
    recall: float | None = None
    measured_k: int | None = None
    _searched: Any = field(default=None, repr=False)

    def search(
        self,
        queries: Float[Tensor, "users dim"],
        count: int,
        *,
        spare: int = 0,
        effort: int | None = None,
        allowed: Bool[Array, " items"] | None = None,
    ) -> Int64[Array, "users count"]:
        """The `count` best items that the index finds for each query, in about the order of their scores; −1 for none.

        Args:
            queries: users' queries, q_u.
            spare: how many of them are found in the place of others that will be left out, besides the effort.
            effort: effort of this search; that of the index if None.
            allowed: the only items that are found; all if None.
        """
        faiss = _faiss()
        asked = queries.new_zeros(len(queries), queries.shape[1] + 2, dtype=torch.float32)
        asked[:, :-2] = queries
        asked[:, -2] = 1.0
        asked = _spread(asked, self._searched.d)
        selector: dict[str, Any] = {}
        if allowed is not None:
            selector["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        effort = self.effort if effort is None else effort
        if isinstance(self._searched, faiss.IndexHNSW):
            how = faiss.SearchParametersHNSW(efSearch=max(count, (effort or 0) + spare), **selector)
        elif isinstance(self._searched, faiss.IndexIVF):
            how = faiss.SearchParametersIVF(nprobe=min(effort or 1, self._searched.nlist), **selector)
        else:
            how = faiss.SearchParameters(**selector)
        faiss.omp_set_num_threads(torch.get_num_threads())
        try:
            found: Int64[Array, "users count"] = self._searched.search(asked.cpu().numpy(), count, params=how)[1]
        except RuntimeError as error:
            raise ConfigError(f"the index cannot be searched: {_reason(error)}") from error
        return found

    @property
    def candidates(self) -> int:
        """Number of items to find for each place of a list, more for codes that only approximate the vectors' order."""
        return 2 if self._code_bytes() >= self._searched.d else 8

    def least_effort(self, k: int) -> int:
        """The least effort of a search for lists of k items that is told from a smaller one: a graph looks at all candidates."""
        return self.candidates * k if hasattr(self._searched, "hnsw") else 1

    def _code_bytes(self) -> int:
        faiss = _faiss()
        if isinstance(self._searched, faiss.IndexHNSW):
            return int(faiss.downcast_index(self._searched.storage).code_size)
        return int(self._searched.code_size)

    def write(self, path: Path) -> None:
        """Write what FAISS searches to a file."""
        _faiss().write_index(self._searched, str(path))

    @classmethod
    def read(cls, path: Path, about: dict[str, Any]) -> "ItemIndex":
        """The index that `write` wrote, in the memory of the file: it is shared by processes, and the system may drop it.

        Args:
            about: the other arguments of the index.

        Raises:
            RunError: the file is not that of such an index.
            MissingExtraError: FAISS is not installed.
        """
        faiss = _faiss()
        try:
            searched = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
        except RuntimeError as error:
            raise RunError(f"{path}: damaged: {_reason(error)}") from error
        found = cls(**about, _searched=searched)
        if searched.ntotal != found.n_items or not _supports(searched):
            raise RunError(f"{path}: damaged: not an index of {found.n_items:,} items of the kind {found.description}")
        return found


def build_index(model: Recommender[Any], description: str = DEFAULT_INDEX, *, effort: int | None = None) -> ItemIndex:
    """An index over the items of a model.

    It takes the memory of its codes besides that of the model: vectors are converted block by block. A graph, which the default
    is, takes longer to build than an inverted file (`IVF4096,SQ8`), and finds as much in less time.

    Args:
        model: a model with the capability `DotProduct`.
        description: FAISS' description of the index: `Flat`, `SQ8`, `HNSW32`, `HNSW32,SQ8`, `IVF256,Flat`, `IVF4096,SQ8`,
            `IVF256,PQ16`, …
        effort: effort of a search: `efSearch` of HNSW, 256 if None, or `nprobe` of IVF, a sixteenth of its clusters if None.

    Raises:
        ConfigError: the model has no inner product, or FAISS does not know the description, or the index has no search among
            given items, or no such setting of effort.
        MissingExtraError: FAISS is not installed.
    """
    searched = required(model, DotProduct, "an index searches dot products of queries and item vectors")
    faiss = check_description(description)
    weight, bias = searched.item_vectors()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        index = faiss.index_factory(_columns(description, weight.shape[1] + 2), description)
        _fill(index, weight.detach(), bias.detach())
    except RuntimeError as error:
        raise ConfigError(f"index {description!r}: {_reason(error)}") from error
    usual = _usual_effort(index)
    if effort is not None and usual is None:
        raise ConfigError(f"index {description!r} has no setting of effort")
    chosen = usual if effort is None else effort
    return ItemIndex(description, fingerprint(model), model.n_items, chosen, _searched=index)


def check_description(description: str) -> Any:
    """The package `faiss`, after a check that it knows an index of this description and can search it among given items.

    Raises:
        ConfigError: it does not.
        MissingExtraError: FAISS is not installed.
    """
    faiss = _faiss()
    if _ENDLESS.search(description):
        raise ConfigError(
            f"index {description!r}: no part of an index has a size of 0, and HNSW has at least 2 neighbors"
        )
    try:
        usable = _supports(faiss.index_factory(_columns(description, 8), description))
    except RuntimeError as error:
        raise ConfigError(f"index {description!r}: {_reason(error)}") from error
    if not usable:
        raise ConfigError(
            f"index {description!r}: cannot be searched among given items; Flat, SQ8, HNSW and IVF were expected, without a "
            "transformation before and a refinement after"
        )
    return faiss


def _columns(description: str, least: int) -> int:
    """Number of columns of the vectors of an index: the least one, or more if product quantizers divide them into parts."""
    parts = math.lcm(*map(int, _PARTS.findall(description)))
    return -(-least // parts) * parts


def _spread(vectors: Float[Tensor, "rows dim"], columns: int) -> Float[Tensor, "rows columns"]:
    """The vectors with columns of zeros between their own, as evenly as can be; themselves if they have as many columns."""
    dim = vectors.shape[1]
    if dim == columns:
        return vectors
    found = vectors.new_zeros(len(vectors), columns)
    found[:, torch.arange(dim) * columns // dim] = vectors
    return found


def fingerprint(model: Recommender[Any]) -> str:
    """A digest of a sample of what a model has learned, by which an index knows the model that it was built from."""
    digest = hashlib.sha256(type(model).__name__.encode())
    for name, tensor in sorted(model.tensors().items()):
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // _OF_A_TENSOR)].cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(some.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss-cpu", "faiss", "approximate search") from error
    return faiss


def _usual_effort(index: Any) -> int | None:
    """Effort of the searches of an index for which none is given; None if it has no such setting."""
    if hasattr(index, "hnsw"):
        return 256
    return max(8, int(index.nlist) // 16) if hasattr(index, "nlist") else None


def _supports(index: Any) -> bool:
    """Whether an index can be searched among given items, with an effort for each search."""
    faiss = _faiss()
    return isinstance(index, faiss.IndexHNSW | faiss.IndexIVF | faiss.IndexFlat | faiss.IndexScalarQuantizer)


def _fill(index: Any, weight: Float[Tensor, "items dim"], bias: Float[Tensor, " items"]) -> None:
    """Train an index, and add the vectors of all items to it."""
    blocks = [slice(start, start + _ROWS) for start in range(0, len(weight), _ROWS)]
    norms = torch.cat([(weight[at].double().square().sum(dim=1) + bias[at].double().square()).cpu() for at in blocks])

    def vectors(at: slice | Int[Tensor, " items"]) -> Float32[Array, "items dim"]:
        here = at if isinstance(at, slice) else at.to(weight.device)
        more = (norms.max() - norms[at]).sqrt()
        parts = (weight[here].float().cpu(), bias[here].float().cpu()[:, None], more.float()[:, None])
        return _spread(torch.cat(parts, dim=1), index.d).numpy()

    most, clusters = _SAMPLED, getattr(index, "cp", None)
    if clusters is not None:
        clusters.min_points_per_centroid, clusters.max_points_per_centroid = 1, _OF_A_CLUSTER
        most = max(most, _OF_A_CLUSTER * index.nlist)
    if hasattr(index, "hnsw"):
        index.hnsw.efConstruction = _CONSTRUCTION
    # Codes span what is sampled and must reach the most popular items: both ends of each dimension are among the sample.
    ends = (weight.argmin(dim=0), weight.argmax(dim=0), bias.argmin()[None], bias.argmax()[None])
    drawn = torch.from_numpy(np.random.default_rng(0).permutation(len(weight))[:most])
    index.train(vectors(torch.unique(torch.cat([*(one.cpu() for one in ends), norms.argmin()[None], drawn]))))
    for at in blocks:
        index.add(vectors(at))


def _reason(error: Exception) -> str:
    """The last line of an error of FAISS, which says what happened; those before say where in its source."""
    return str(error).splitlines()[-1]

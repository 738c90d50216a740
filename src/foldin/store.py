"""Run directories: safetensors, JSON and Parquet, written atomically and verified on reading. Nothing is unpickled.

A run directory holds

    model.safetensors     what was learned; model name, settings and format version in its metadata
    catalog.parquet       item ids, titles, attributes, training counts
    history.jsonl         one line an epoch
    metrics.json          the report on held-out people
    per_user.parquet      each person's metrics
    run.json              how it was made, and the SHA-256 of every other file; written last
    checkpoint.safetensors while training goes on
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from foldin.data import Catalog
from foldin.errors import FoldinError, RunError
from foldin.files import FORMAT_VERSION, read_tensors, write_atomically, write_json, write_tensors, write_text
from foldin.models import ALL, Described, Recommender
from foldin.training import CHECKPOINT

__all__ = ["Run", "load_run", "save_run"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps({**content, "digest": ""}, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, loaded.

    Args:
        folder: where it lies.
        name: the model's name in `ALL`.
        model: ready to score.
        catalog: its items.
        info: `run.json`: data and its fingerprint, protocol, seed, versions, timings.
    """

    folder: Path
    name: str
    model: Recommender
    catalog: Catalog
    info: dict[str, Any]


def save_run(
    folder: Path,
    *,
    name: str,
    model: Recommender,
    catalog: Catalog,
    info: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]] = (),
    metrics: Mapping[str, Any] | None = None,
    per_user: pl.DataFrame | None = None,
    keep_checkpoint: bool = False,
) -> None:
    """Write a run directory; `run.json`, which makes it a finished one, comes last.

    The checkpoint of training goes, unless it is to be continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    about = {
        "model": name,
        "config": model.config.as_dict(),
        "n_items": model.n_items,
        "temperature": model.temperature,
    }
    write_tensors(folder / "model.safetensors", model.tensors(), about)
    write_atomically(folder / "catalog.parquet", catalog.table.write_parquet)
    write_text(folder / "history.jsonl", "".join(json.dumps(record, allow_nan=False) + "\n" for record in history))
    names = ["model.safetensors", "catalog.parquet", "history.jsonl"]
    if metrics is not None:
        write_json(folder / "metrics.json", metrics)
        names.append("metrics.json")
    if per_user is not None:
        write_atomically(folder / "per_user.parquet", per_user.write_parquet)
        names.append("per_user.parquet")
    content = {
        "format_version": FORMAT_VERSION,
        "model": name,
        **info,
        "files": {one: _sha256(folder / one) for one in names},
    }
    write_json(folder / "run.json", {**content, "digest": _own_digest(content)})
    if not keep_checkpoint:
        (folder / CHECKPOINT).unlink(missing_ok=True)


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory")
    if not path.is_file():
        unfinished = (folder / CHECKPOINT).is_file()
        hint = "training has not finished; continue it with --resume" if unfinished else "no run.json in it"
        raise RunError(f"{folder}: not a finished run: {hint}")
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, digest, files = info["format_version"], info["digest"], info["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise RunError(f"{path}: written in format version {version}, this foldin reads version {FORMAT_VERSION}")
    if _own_digest(info) != digest:
        raise RunError(f"{path}: damaged: its content does not match its digest")
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: missing from the run")
        if _sha256(folder / name) != expected:
            raise RunError(f"{folder / name}: damaged: its content does not match the digest in run.json")
    return info


def load_run(folder: str | Path, *, device: str | torch.device = "cpu") -> Run:
    """A finished run.

    Raises:
        RunError: it is missing, unfinished, damaged, or of another version; says which file and why.
    """
    folder = Path(folder)
    info = _read_info(folder)
    tensors, about = read_tensors(folder / "model.safetensors")
    name = about["model"]
    if name not in ALL:
        raise RunError(f"{folder}: holds a model {name!r}; this foldin knows {', '.join(ALL)}")
    kind = ALL[name]
    try:
        model = kind(about["n_items"], kind.Config.from_dict(about["config"]), device=device)
    except FoldinError as error:
        raise RunError(f"{folder}: the settings stored with the model cannot be used: {error}") from error
    model.load_state(tensors)
    if about.get("temperature") is not None:
        model.calibrate(about["temperature"])
    catalog = Catalog(pl.read_parquet(folder / "catalog.parquet"))
    if isinstance(model, Described):
        model.describe(catalog)
    if len(catalog) != model.n_items:
        raise RunError(f"{folder}: the model knows {model.n_items} items, the catalogue {len(catalog)}")
    return Run(folder=folder, name=name, model=model, catalog=catalog, info=info)

"""Run directories: safetensors, JSON and Parquet, written atomically and verified on reading. Nothing is unpickled.

A run directory holds

    model.safetensors     what was learned; model name, settings and format version in its metadata
    catalog.parquet       item ids, titles, features, training counts
    history.jsonl         one line for each epoch
    metrics.json          the report on held-out users
    per_user.parquet      each user's metrics
    statistics.safetensors  expected sufficient statistics, for a model to which later events can be added
    features.json         the features of items as they were fitted, for a model that learns from them
    new_items.safetensors what EASE with features keeps for items that come after its training
    histories.parquet     the users' histories, if they are saved
    run.json              how it was made, and the SHA-256 of every file above; written last
    index.faiss           an index over the items, if one was built, with index.json, which describes it (`stored_index.py`)
    checkpoint.safetensors during training

A folder of generations (`generations.py`) holds several; its `run.json` only points to the current one (`pointer.py`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from foldin.data import Catalog, EventWeights, Features, FrameStyle, KnownUsers, ReadOptions, weighting_of
from foldin.errors import FoldinError, RunError
from foldin.files import FORMAT_VERSION, read_tensors, write_atomically, write_json, write_tensors, write_text
from foldin.inference import Statistics
from foldin.models import MODELS, FeatureReader, ItemFeatures, Recommender, capability, config_class, model_name
from foldin.models.registry import ENTRY_POINTS
from foldin.runs.contents import check_target, digest_of, file_digest, read_info
from foldin.runs.new_items import KEPT, load_kept, save_kept
from foldin.runs.pointer import Pointer, folder_of, read_pointer
from foldin.runs.run import Run
from foldin.runs.stored_index import remove_index
from foldin.runs.stored_statistics import write_statistics
from foldin.training import CHECKPOINT

__all__ = ["load_run", "save_run", "weights_info"]


def save_run(
    folder: Path,
    *,
    model: Recommender,
    catalog: Catalog,
    info: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]] = (),
    metrics: Mapping[str, Any] | None = None,
    per_user: pl.DataFrame | None = None,
    known: KnownUsers | None = None,
    style: FrameStyle | None = None,
    reading: ReadOptions | None = None,
    keep_checkpoint: bool = False,
    statistics: Statistics | None = None,
) -> None:
    """Write a run directory; `run.json`, which marks the run as finished, is written last.

    The checkpoint of training is deleted, unless training is to be continued.

    Raises:
        RunError: `load_run` would refuse the content, JSON cannot represent it, or the folder holds something other than a run.
            Nothing has been written then.
    """
    name = _check_run(folder, model, catalog, {"info": info, "metrics": metrics, "history": list(history)})
    check_target(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    remove_index(folder)
    about = {
        "model": name,
        "package": MODELS.package(name),
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
    names += _save_features(folder, model) + write_statistics(folder, statistics) + save_kept(folder, model)
    if known is not None:
        write_atomically(folder / "histories.parquet", known.table().write_parquet)
        names.append("histories.parquet")
    content = {
        "format_version": FORMAT_VERSION,
        "model": name,
        **info,
        **({} if style is None else {"frames": style.as_dict()}),
        **({} if reading is None else {"reading": reading.differing()}),
        "files": {one: file_digest(folder / one) for one in names},
    }
    write_json(folder / "run.json", {**content, "digest": digest_of(content)})
    if not keep_checkpoint:
        (folder / CHECKPOINT).unlink(missing_ok=True)


def weights_info(weighting: EventWeights | None) -> dict[str, Any]:
    """The entry of `run.json` for the rule by which events are weighted; empty if all count alike."""
    return {} if weighting is None else {"weights": weighting.as_dict()}


def _save_features(folder: Path, model: Recommender) -> list[str]:
    """Write the features that a model learned from; returns the name of the file, if there is one."""
    reader = capability(model, FeatureReader)
    if reader is None or reader.features is None:
        return []
    reader.features.save(folder / "features.json")
    return ["features.json"]


def _check_run(folder: Path, model: Recommender, catalog: Catalog, content: Mapping[str, Any]) -> str:
    """The model's name, after checks of everything that is to be written."""
    name = model_name(type(model.config))
    if name is None or type(model) is not MODELS[name].model_class:
        raise RunError(
            f"{folder}: a {type(model).__name__} could not be loaded again: it has no name. A package gives one to its "
            f"configuration by an entry point of the group {ENTRY_POINTS!r}; there are {', '.join(MODELS)}"
        )
    if len(catalog) != model.n_items:
        raise RunError(f"{folder}: the model knows {model.n_items} items, the catalog {len(catalog)}")
    own = {"format_version", "model", "files", "digest", "frames", "reading", "generation"}
    if taken := sorted(own & content["info"].keys()):
        raise RunError(f"{folder}: info has {taken[0]!r}, which run.json has itself")
    for what, one in content.items():
        try:
            same = json.loads(json.dumps(one, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise RunError(f"{folder}: {what} cannot be written as JSON: {error}") from error
        if what == "info" and same.keys() != one.keys():
            raise RunError(f"{folder}: info cannot be written as JSON: its keys must be text")
    return name


def load_run(folder: str | Path, *, device: str | torch.device = "cpu") -> Run:
    """The finished run in a folder; of a folder of generations, the current one.

    If another generation becomes current while the run is read, and its files are missing, the new one is read instead.

    Raises:
        RunError: the run is missing, unfinished, damaged, or of another version; the message gives the file and the reason.
    """
    folder = Path(folder)
    pointer = read_pointer(folder)
    try:
        return _load(folder, pointer, device)
    except (RunError, OSError) as error:
        now = read_pointer(folder)
        if now != pointer:
            return _load(folder, now, device)
        if pointer is not None and isinstance(error, RunError):
            raise RunError(f"{error}; `foldin runs rollback {folder}` restores an earlier generation") from error
        raise


def _load(folder: Path, pointer: Pointer | None, device: str | torch.device) -> Run:
    """The run in a run directory, or the generation that a pointer gives."""
    if pointer is not None:
        folder = folder_of(folder, pointer.generation)
    info = read_info(folder)
    if pointer is not None and info["digest"] != pointer.digest:
        raise RunError(f"{folder}: not the run to which run.json points: its digest is another one")
    tensors, about = read_tensors(folder / "model.safetensors")
    name = about["model"]
    if name not in MODELS:
        package = about.get("package", "foldin")
        missing = f", of {package}, which is not installed here" if package != "foldin" else ""
        raise RunError(f"{folder}: holds a model {name!r}{missing}; there are {', '.join(MODELS)}")
    try:
        kind = config_class(name)
        model: Recommender = kind.model_class(about["n_items"], kind.from_dict(about["config"]), device=device)
    except FoldinError as error:
        raise RunError(f"{folder}: the settings stored with the model cannot be used: {error}") from error
    catalog = Catalog(pl.read_parquet(folder / "catalog.parquet", glob=False))
    if len(catalog) != model.n_items:
        raise RunError(f"{folder}: the model knows {model.n_items} items, the catalog {len(catalog)}")
    model.load_state(tensors)
    if about.get("temperature") is not None:
        model.calibrate(about["temperature"])
    reader = capability(model, FeatureReader)
    if reader is not None and (folder / "features.json").is_file():
        reader.features = Features.load(folder / "features.json")
    featured = capability(model, ItemFeatures)
    if featured is not None:
        featured.describe(catalog)
    if KEPT in info["files"]:
        load_kept(folder, model)
    histories = folder / "histories.parquet"
    try:
        known = (
            KnownUsers.of_table(pl.read_parquet(histories, glob=False), len(catalog)) if histories.is_file() else None
        )
        style = FrameStyle.from_dict(info.get("frames", {}))
        reading = ReadOptions(**info.get("reading", {}))
        weighting = weighting_of(info)
    except (FoldinError, TypeError, KeyError) as error:
        raise RunError(f"{folder}: what is stored of the log cannot be used: {error}") from error
    return Run(
        folder=folder,
        name=name,
        model=model,
        catalog=catalog,
        info=info,
        known=known,
        style=style,
        reading=reading,
        weighting=weighting,
    )

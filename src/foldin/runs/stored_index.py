"""The index over a run's items, stored with the run: `index.faiss`, and `index.json`, which says what it is.

A run never changes, and an index is derived from it: `run.json` does not name these files, so that the run has the same digest
with and without an index. `index.json` has the SHA-256 of `index.faiss` and a fingerprint of the model, and is written last.
An index that is damaged, or that was built from another model, is refused, and the run can be used without it.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from foldin.data import Catalog, Histories
from foldin.errors import RunError
from foldin.files import FORMAT_VERSION, write_atomically, write_json
from foldin.models import Recommender
from foldin.ranking import DEFAULT_INDEX, ItemIndex, build_index, measure_index
from foldin.ranking.item_index import fingerprint
from foldin.runs.contents import file_digest

__all__ = [
    "INDEX_FILES",
    "add_index",
    "index_facts",
    "is_copied",
    "load_index",
    "probe_users",
    "remove_index",
    "save_index",
]

_ABOUT, _INDEX = "index.json", "index.faiss"
INDEX_FILES = (_INDEX, _ABOUT)  # in the order in which they are written
_USERS, _EVENTS = 200, 10
_ADVICE = "`foldin index` builds it again"


def add_index(
    folder: str | Path,
    model: Recommender[Any],
    catalog: Catalog,
    *,
    description: str = DEFAULT_INDEX,
    effort: int | None = None,
    recall: float = 0.98,
    users: Histories | None = None,
) -> ItemIndex:
    """Build an index over the items of a run, measure it, and store it with the run, in the place of an earlier one.

    Args:
        folder: the run directory.
        model: the model of the run.
        catalog: its items.
        description: FAISS' description of the index; see `ranking.build_index`.
        effort: effort of a search, whose recall is measured; None for the least one that reaches `recall`.
        recall: the mean share of the exact lists of 100 items that is wanted.
        users: users on some of whom it is measured; made-up ones if None, see `probe_users`.

    Raises:
        ConfigError: the model has no inner product, FAISS does not know the description, or the recall is outside (0, 1].
        MissingExtraError: FAISS is not installed.
        OSError: the folder cannot be written to.
    """
    index = build_index(model, description, effort=effort)
    some = probe_users(catalog, users)
    index = measure_index(model, index, some, recall=recall if effort is None else None)
    save_index(folder, index)
    return index


def save_index(folder: str | Path, index: ItemIndex) -> None:
    """Store an index in a run directory, in the place of an earlier one.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder = Path(folder)
    (folder / _ABOUT).unlink(missing_ok=True)  # until the new one is complete, there is none
    write_atomically(folder / _INDEX, index.write)
    about = {one.name: getattr(index, one.name) for one in fields(index) if not one.name.startswith("_")}
    content = {"format_version": FORMAT_VERSION, **about, "file": file_digest(folder / _INDEX)}
    write_json(folder / _ABOUT, content)


def load_index(folder: str | Path, model: Recommender[Any]) -> ItemIndex | None:
    """The index that is stored with a run, mapped into memory from its file; None if there is none.

    Args:
        model: the model of the run.

    Raises:
        RunError: the index is damaged, or was built from another model; says which file and what to do.
        MissingExtraError: FAISS is not installed.
    """
    path = Path(folder) / _ABOUT
    if not path.is_file():
        return None
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, expected = about.pop("format_version"), about.pop("file")
        if set(about) != {one.name for one in fields(ItemIndex) if not one.name.startswith("_")}:
            raise ValueError("other entries than expected")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: damaged: {error}; {_ADVICE}") from error
    if version != FORMAT_VERSION:
        raise RunError(f"{path}: written in format version {version}; this foldin reads {FORMAT_VERSION}; {_ADVICE}")
    if about["fingerprint"] != fingerprint(model) or about["n_items"] != model.n_items:
        raise RunError(f"{path}: the index was built from another model than that of this run; {_ADVICE}")
    file = path.with_name(_INDEX)
    if not file.is_file():
        raise RunError(f"{file}: missing, though {_ABOUT} describes it; {_ADVICE}")
    if file_digest(file) != expected:
        raise RunError(f"{file}: damaged: its content does not match the digest in {_ABOUT}; {_ADVICE}")
    return ItemIndex.read(file, about)


def index_facts(folder: str | Path) -> dict[str, Any] | None:
    """What lists by the index that is stored with a run depend on: its description, its effort and the SHA-256 of its file.

    None if there is no index. FAISS is not needed, and the file is not read.

    Raises:
        RunError: `index.json` is damaged.
    """
    path = Path(folder) / _ABOUT
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return {name: about[name] for name in ("description", "effort", "file")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error!r}; {_ADVICE}") from error


def is_copied(folder: Path) -> bool:
    """Whether a folder has the file of an index that its `index.json` describes, whichever run it belongs to."""
    try:
        expected = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))["file"]
        return bool(file_digest(folder / _INDEX) == expected)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def remove_index(folder: str | Path) -> None:
    """Delete the index that is stored in a run directory, if there is one."""
    for name in reversed(INDEX_FILES):
        (Path(folder) / name).unlink(missing_ok=True)


def probe_users(catalog: Catalog, users: Histories | None = None) -> Histories:
    """Histories of 200 users, for measuring an index: some of the given users, or made-up ones if none has a history.

    A made-up user has taken 10 items that were drawn by their training counts, and says less than a real one.
    """
    rng = np.random.default_rng(0)
    if users is not None:
        told = np.flatnonzero(users.lengths)
        if len(told):
            return users.select(np.sort(rng.permutation(told)[:_USERS]))
    counts = catalog.table["count"].to_numpy().astype(np.float64) + 1.0
    drawn = rng.choice(len(catalog), size=(_USERS, min(_EVENTS, len(catalog))), p=counts / counts.sum())
    return Histories.from_lists([np.unique(row).tolist() for row in drawn], len(catalog))

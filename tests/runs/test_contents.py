"""What a folder holds: a run, a part of one, or files of others."""

import pytest

from foldin.data import Catalog
from foldin.errors import RunError
from foldin.models import Popularity
from foldin.runs import load_run, save_run


def test_missing_and_unfinished_runs_say_so(tmp_path):
    with pytest.raises(RunError, match="no such run directory"):
        load_run(tmp_path / "none")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "checkpoint.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="continue it with --resume"):
        load_run(tmp_path / "half")


def test_a_folder_with_somebody_s_files_is_left_as_it_is(tmp_path):
    given = {"model": Popularity(2), "catalog": Catalog.from_ids(["a", "b"]), "info": {}}
    for name, content in (
        ("metrics.json", "{}"),
        ("run.json", '{"mine": 1}'),
        ("model.safetensors", "mine"),
        (".hidden", ""),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(RunError, match="files that foldin did not write"):
            save_run(folder, **given)
        assert {path.name: path.read_text() for path in folder.iterdir()} == {name: content}
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="is a file"):
            save_run(target, **given)
    (tmp_path / "empty").mkdir()
    save_run(tmp_path / "empty", **given)
    # A run of ours may be trained again in its place, and what lies beside it stays.
    (tmp_path / "empty" / "notes.txt").write_text("mine")
    save_run(tmp_path / "empty", **given)
    assert load_run(tmp_path / "empty").model.n_items == 2
    assert (tmp_path / "empty" / "notes.txt").read_text() == "mine"
    # So may one whose writing was cut off.
    (tmp_path / "empty" / "run.json").unlink()
    save_run(tmp_path / "empty", **given)

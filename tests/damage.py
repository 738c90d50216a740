"""Run directories as others might have written them: changed, with digests that are right again."""

import json
from pathlib import Path
from typing import Any

from foldin.files import read_tensors, write_json, write_tensors
from foldin.runs.contents import digest_of, file_digest


def change_model(run: Path, *, without: tuple[str, ...] = (), **about: Any) -> None:
    """Leave out tensors of a run, or say something else beside them."""
    tensors, said = read_tensors(run / "model.safetensors")
    said.pop("format_version")
    kept = {name: tensor for name, tensor in tensors.items() if name not in without}
    write_tensors(run / "model.safetensors", kept, {**said, **about})
    change_info(run)


def change_info(run: Path, without: tuple[str, ...] = (), **more: Any) -> None:
    """Change what `run.json` says; all digests are worked out anew."""
    info = {name: value for name, value in json.loads((run / "run.json").read_text()).items() if name not in without}
    info |= {**more, "files": {name: file_digest(run / name) for name in info["files"]}}
    write_json(run / "run.json", {**info, "digest": digest_of(info)})

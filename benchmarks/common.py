"""What every benchmark shares: the machine, timing, the GEMM rate, and the shape of a result."""

import argparse
import atexit
import functools
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import write_tiny_data

from foldin.data import Histories
from foldin.experiment import versions

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def arguments(
    description: str, *, name: str, folder: Path, tiny: Mapping[str, Any] | None = None, **extra: Any
) -> argparse.Namespace:
    """The options of every script, and one `--name default` for each keyword.

    Args:
        tiny: what `--tiny` puts in place of the defaults. With it `data` is a folder of made-up sets (`tiny.py`), and the result
            is printed and not kept unless `--json` says where.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the result is kept  [default: results/ beside the script]")
    parser.add_argument("--data", type=Path, help="folder of the real data sets  [default: ../shared/data]")
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="a few seconds on made-up data, to see that it runs; no figure means anything",
    )
    for key, value in extra.items():
        parser.add_argument(f"--{key.replace('_', '-')}", type=type(value))
    commit()  # now: what is edited while the script runs is not what it measures
    options = parser.parse_args()
    if options.tiny:
        scratch = Path(tempfile.mkdtemp(prefix="tiny-"))
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        if options.data is None:
            write_tiny_data(scratch)
        one_thread = {"threads": 1} if "threads" in extra else {}  # several wait for each other longer than they work
        defaults = {**extra, **one_thread, **(tiny or {}), "data": scratch, "json": scratch / "result.json"}
    else:
        defaults = {**extra, "data": DATA, "json": folder / "results" / f"{name}.json"}
    for key, value in defaults.items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    return options


def peer_python(options: argparse.Namespace, name: str) -> str | None:
    """The interpreter that `make bench-setup` makes for a peer; None where `--tiny` leaves out one that is not installed."""
    path = ROOT / ".bench" / name / "bin" / "python"
    if path.exists():
        return str(path)
    if options.tiny:
        return None
    raise SystemExit(f"{path}: not there; `make bench-setup` installs the peers")


def child(*command: object) -> dict[str, Any]:
    """The JSON object on the last line that a process of its own prints."""
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{run.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def save_log(path: Path, log: Histories) -> Path:
    """Histories as NumPy arrays, for a process of its own: items, offsets, n_items, and shape (users, items)."""
    np.savez(path, items=log.items, offsets=log.offsets, n_items=log.n_items, shape=np.array([len(log), log.n_items]))
    return path


def load_log(path: Path) -> Histories:
    """What `save_log` kept."""
    stored = np.load(path)
    return Histories(items=stored["items"], offsets=stored["offsets"], n_items=int(stored["n_items"]))


def machine() -> str:
    """Processor and cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    simd = torch.backends.cpu.get_cpu_capability()
    return f"{model}, {os.cpu_count()} cores, {simd}, {platform.system()}"


@functools.cache
def commit() -> str:
    """The commit that is measured, with a + when files differ from it; that of the first call."""
    run = lambda *a: subprocess.run(["git", *a], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = "+" if run("status", "--porcelain", "--", "src") else ""
    return run("rev-parse", "--short", "HEAD") + changed


def write(path: Path, name: str, *, settings: dict[str, Any], figures: dict[str, Any], **more: Any) -> None:
    """Print a result and keep it."""
    content = {
        "name": name,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "settings": settings,
        "figures": figures,
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


def keep_part(path: Path, name: str, part: str, *, settings: dict[str, Any], **found: Any) -> None:
    """Print and keep a result that is measured in parts; the other parts that are kept stay, each with its commit and date.

    Args:
        part: name of what was measured now, such as "ml-1m multvae".
        settings: of this part.
        found: figures and more, of this part; each is kept as a dictionary by part.
    """
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    merged = {key: {**before.get(key, {}), part: value} for key, value in found.items()}
    about = {"commit": commit(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    about |= {"threads": torch.get_num_threads(), "settings": settings}
    reports = {**before.get("reports", {}), part: about}
    write(path, name, settings={"parts": sorted(reports)}, **merged, reports=reports)

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
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import write_tiny_data

from foldin.data import Histories, Pictures, load_pictures
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
        defaults = {**extra, **(tiny or {}), "data": scratch, "json": scratch / "result.json"}
    else:
        defaults = {**extra, "data": DATA, "json": folder / "results" / f"{name}.json"}
    for key, value in defaults.items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    return options


def pictures_of(options: argparse.Namespace, name: str = "fashion-mnist") -> Pictures:
    """Pictures beside the other sets, where they are there, else by their name."""
    folder = options.data / name
    return load_pictures(folder if folder.is_dir() else name)


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


def seconds(work: Callable[[], Any], repeats: int = 5, warm: int = 2) -> float:
    """Median wall time of one call."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _torch_mm(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.mm(a, b, out=out)


def _numpy_mm(out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return np.matmul(a.numpy(), b.numpy(), out=out.numpy())


def gemm_seconds(users: int, hidden: int, items: int, repeats: int = 7) -> dict[str, dict[str, float]]:
    """Library → seconds of the three products of a last layer into existing memory: forward, gradients of weight, input.

    `torch` is PyTorch's own BLAS, `numpy` NumPy's with its own threads; `best` takes the faster for each product. A
    machine's limit is what its fastest BLAS can do, whoever ships it.
    """
    h, weight = torch.randn(users, hidden), torch.randn(items, hidden)
    logits, grad_weight, grad_h = torch.empty(users, items), torch.empty(items, hidden), torch.empty(users, hidden)
    products = {
        "forward": (logits, h, weight.t()),
        "weight": (grad_weight, logits.t(), h),
        "input": (grad_h, logits, weight),
    }
    found = {
        library: {name: seconds(lambda mm=mm, p=p: mm(*p), repeats) for name, p in products.items()}
        for library, mm in (("torch", _torch_mm), ("numpy", _numpy_mm))
    }
    return found | {"best": {name: min(one[name] for one in found.values()) for name in products}}


def synthetic_log(users: int = 116_677, items: int = 20_108, events: int = 8_500_000, seed: int = 0) -> Histories:
    """A synthetic log of the shape of ML-20M's training part: log-normal people, power-law items, distinct pairs."""
    rng = np.random.default_rng(seed)
    events = round(events * users / 116_677)
    lengths = rng.lognormal(0.0, 1.0, users)
    lengths = np.clip(lengths * events / lengths.sum(), 5, items // 4).astype(np.int64)
    shares = np.cumsum(1.0 / (20 + np.arange(items)) ** 1.0)
    shares /= shares[-1]
    # Draw, drop repeated pairs, draw again for what is missing: three rounds leave a few per mille to be short.
    keys = np.empty(0, dtype=np.int64)
    missing = lengths.copy()
    for _ in range(4):
        people = np.repeat(np.arange(users), missing)
        drawn = np.searchsorted(shares, rng.random(len(people))).clip(max=items - 1)
        keys = np.unique(np.concatenate((keys, people * items + drawn)))
        missing = np.maximum(lengths - np.bincount(keys // items, minlength=users), 0)
    people = keys // items
    offsets = np.zeros(users + 1, dtype=np.int64)
    np.cumsum(np.bincount(people, minlength=users), out=offsets[1:])
    return Histories(items=(keys % items).astype(np.int32), offsets=offsets, n_items=items)

"""A training step of a vector quantizer with a moving average, forward and backward: foldin and vector-quantize-pytorch.

Vectors × width → codes: 16,384 × 64 → 1,024 and 32,768 × 128 → 512, float32. Each runs in a process of its own, in turn, which
also tells the memory it needed beyond what importing took.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from common import arguments, child, peer_python, write

SHAPES = ((16_384, 64, 1024), (32_768, 128, 512))
TINY = ((256, 8, 16),)


def main() -> None:
    options = arguments(
        __doc__, name="quantize", folder=Path(__file__).parent, threads=2, repeats=3, tiny={"repeats": 1}
    )
    torch.set_num_threads(options.threads)
    pythons = {"ours": sys.executable, "vector-quantize-pytorch": peer_python(options, "vector")}
    pythons = {name: python for name, python in pythons.items() if python is not None}
    figures, ratios = {}, {}
    for vectors, width, codes in TINY if options.tiny else SHAPES:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(options.repeats):
            for name, python in pythons.items():
                script = Path(__file__).parent / "quantize_step.py"
                found[name].append(child(python, script, name, vectors, width, codes, options.threads))
        shape = f"{vectors}x{width}->{codes}"
        figures[shape] = {
            key: {name: float(np.median([one[key] for one in runs])) for name, runs in found.items()}
            for key in ("seconds", "memory_mb", "error")
        }
        seconds = figures[shape]["seconds"]
        for peer in pythons.keys() - {"ours"}:
            ratios[f"{peer} {shape}"] = seconds[peer] / seconds["ours"]
    write(
        options.json,
        "quantize",
        settings={"average": 0.99, "commitment": 0.25},
        figures=figures,
        ratios=ratios,
    )


if __name__ == "__main__":
    main()

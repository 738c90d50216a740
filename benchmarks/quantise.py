"""A training step of a vector quantiser with a moving average, forward and backward: foldin and vector-quantize-pytorch.

Vectors × width → codes: 16,384 × 64 → 1,024 and 32,768 × 128 → 512, float32. Each runs in a process of its own, in turn, which
also tells the memory it needed beyond what importing took.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import ROOT, arguments, write

SHAPES = ((16_384, 64, 1024), (32_768, 128, 512))


def main() -> None:
    options = arguments(__doc__, name="quantise", folder=Path(__file__).parent, threads=2, repeats=3)
    import torch

    torch.set_num_threads(options.threads)
    pythons = {"ours": sys.executable, "vector-quantize-pytorch": str(ROOT / ".bench/vector/bin/python")}
    figures, ratios = {}, {}
    for vectors, width, codes in SHAPES:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for _ in range(options.repeats):
            for name, python in pythons.items():
                script = Path(__file__).parent / "quantise_step.py"
                command = [python, script, name, vectors, width, codes, options.threads]
                run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
                if run.returncode:
                    sys.exit(run.stderr[-2000:])
                found[name].append(json.loads(run.stdout))
        shape = f"{vectors}x{width}->{codes}"
        figures[shape] = {
            key: {name: float(np.median([one[key] for one in runs])) for name, runs in found.items()}
            for key in ("seconds", "memory_mb", "error")
        }
        seconds = figures[shape]["seconds"]
        ratios[f"vector-quantize-pytorch {shape}"] = seconds["vector-quantize-pytorch"] / seconds["ours"]
    write(
        options.json,
        "quantise",
        settings={"average": 0.99, "commitment": 0.25},
        figures=figures,
        ratios={**ratios, "vector-quantize-pytorch": min(ratios.values())},
    )


if __name__ == "__main__":
    main()

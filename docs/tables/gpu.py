"""The table of times on a GPU, beside plain PyTorch on the same card."""

from typing import Any

from tables.base import load, rows_of

__all__ = ["on_a_gpu"]

_WORK = {
    "multvae": "an epoch of Mult-VAE",
    "multvae_float32": "the same without TF32",
    "recvae": "an outer epoch of RecVAE",
    "recvae_float32": "the same without TF32",
    "sasrec_6400": "an epoch of SASRec, batches of 6,400 events",
    "sasrec_51200": "the same, batches of 51,200",
}


def _named(name: str) -> str:
    """What a figure measures."""
    if name in _WORK:
        return _WORK[name]
    kind, shape = name.split("_", 1)
    size, result = shape.split("->")
    (tokens, width), count = size.split("x"), int(result)
    if kind == "loss":
        return f"softmax of {int(tokens):,} events × {count:,} items, width {width}, with gradients"
    return f"a step of a quantizer, {int(tokens):,} vectors of width {width}, {count:,} codes"


def _seconds(runs: dict[str, dict[str, float]], kind: str) -> str:
    if kind not in runs:
        return ""
    value = runs[kind]["seconds"]
    return f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.1f} ms"


def _formats(name: str, runs: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    """What a figure measures → the times of its kinds, with those in bfloat16 apart; what foldin has no time of is left out."""
    end = "_bfloat16"
    found = {
        _named(name): {kind: one for kind, one in runs.items() if not kind.endswith(end)},
        "the same in bfloat16": {kind.removesuffix(end): one for kind, one in runs.items() if kind.endswith(end)},
    }
    return {work: kinds for work, kinds in found.items() if "foldin" in kinds}


def on_a_gpu() -> str:
    """Times of foldin beside the fastest plain PyTorch."""
    result: dict[str, Any] = load("benchmarks/results/gpu.json")
    rows = []
    works = [one for name, runs in result["figures"].items() for one in _formats(name, runs).items()]
    for work, runs in works:
        peers = [kind for kind in runs if kind != "foldin"]
        peer = min(peers, key=lambda kind: runs[kind]["seconds"])
        rows.append(
            [
                work,
                _seconds(runs, "foldin"),
                _seconds(runs, peer) + (" (compiled)" if peer == "compiled" else ""),
                f"{runs[peer]['seconds'] / runs['foldin']['seconds']:.2f}×",
            ]
        )
    card = result["settings"]["card"]
    return f"Measured on one {card['name']} with PyTorch {result['versions']['torch']}.\n\n" + rows_of(
        ["work", "foldin", "plain PyTorch", "plain ÷ foldin"], rows
    )

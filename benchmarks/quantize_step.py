"""Steps of one quantizer, in whichever environment has it: `ours`, or `vector-quantize-pytorch`.

python quantize_step.py NAME VECTORS WIDTH CODES THREADS

Prints one JSON object: seconds a step, memory beyond that of the imports, and the mean square error per vector at the end.
"""

import json
import resource
import sys
import time
from statistics import median

import torch

STEPS = 30


def made(name, width, codes):
    """(x → (values, loss))."""
    if name == "ours":
        from foldin.nn import VectorQuantizer

        one = VectorQuantizer(codes, width, average=0.99, generator=torch.Generator().manual_seed(0))
        noise = torch.Generator().manual_seed(1)

        def step(x):
            found = one(x, noise)
            return found.values, found.loss

        return step
    from vector_quantize_pytorch import VectorQuantize

    other = VectorQuantize(width, codebook_size=codes, decay=0.99, commitment_weight=0.25, threshold_ema_dead_code=0)

    def peer(x):
        values, _, loss = other(x.unsqueeze(0))
        return values.squeeze(0), loss.sum()

    return peer


def main():
    name, vectors, width, codes, threads = sys.argv[1], *map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    step = made(name, width, codes)
    data = [torch.randn(vectors, width, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times, error = [], 0.0
    for number in range(STEPS):
        x = data[number % 4].clone().requires_grad_()
        start = time.perf_counter()
        values, loss = step(x)
        (values.square().mean() + loss).backward()
        times.append(time.perf_counter() - start)
        error = float((values.detach() - x.detach()).square().sum(dim=1).mean())
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": median(times[5:]), "memory_mb": memory, "error": error}))


if __name__ == "__main__":
    main()

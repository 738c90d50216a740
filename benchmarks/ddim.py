"""DDIM's own time: steps per second of foldin's sampler and of `diffusers`' scheduler, around the same network, in one process.

Two networks: a single product, so that the sampler's own work is most of the time, and a small U-Net; 64 pictures of 28×28, 50
of 1,000 steps, η = 0, both in turn, without clipping. Medians over `--repeats`.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import arguments, write
from diffusers import DDIMScheduler

from foldin.diffusion import Denoised, NoiseSchedule, ddim
from foldin.nn import UNet, UNetShape

ROWS, STEPS, OF = 64, 50, 1000
Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def ours(network: Network, schedule: NoiseSchedule, x: torch.Tensor, steps: list[int]) -> torch.Tensor:
    def denoise(now: torch.Tensor, t: torch.Tensor) -> Denoised:
        return Denoised(schedule.to_clean("noise", network(now, t - 1), now, t))

    return ddim(denoise, schedule, x, steps)


def theirs(network: Network, scheduler: DDIMScheduler, x: torch.Tensor) -> torch.Tensor:
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t.expand(len(x))), t, x).prev_sample
    return x


@torch.no_grad()
def main() -> None:
    options = arguments(
        __doc__,
        name="ddim",
        folder=Path(__file__).parent,
        threads=2,
        repeats=15,
        steps=STEPS,
        rows=ROWS,
        tiny={"repeats": 1, "steps": 5, "rows": 2},
    )
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    unet = UNet(1, 1, 28, 28, UNetShape(widths=(16, 32)), generator=generator, device=torch.device("cpu"))
    for parameter in unet.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    matrix = torch.randn(28, 28, generator=generator) / 28
    networks: dict[str, Network] = {"one product": lambda x, t: x @ matrix, "u-net": unet}
    scheduler = DDIMScheduler(
        OF, beta_start=1e-4, beta_end=0.02, clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading"
    )
    scheduler.set_timesteps(options.steps)
    schedule = NoiseSchedule.linear(OF)
    steps = [int(t) + 1 for t in scheduler.timesteps]
    x = torch.randn(options.rows, 1, 28, 28, generator=generator)
    figures, ratios = {}, {}
    for name, network in networks.items():
        runs = {
            "ours": lambda network=network: ours(network, schedule, x, steps),
            "diffusers": lambda network=network: theirs(network, scheduler, x),
        }
        found: dict[str, list[float]] = {kind: [] for kind in runs}
        outcomes = {kind: run() for kind, run in runs.items()}
        for _ in range(options.repeats):
            for kind, run in runs.items():
                start = time.perf_counter()
                run()
                found[kind].append(time.perf_counter() - start)
        rates = {kind: options.steps / float(np.median(times)) for kind, times in found.items()}
        # diffusers ends at ᾱ of step −20 where foldin ends at the data: the last step alone differs, by x̂_0 itself.
        difference = float((outcomes["ours"] - outcomes["diffusers"]).abs().max() / outcomes["diffusers"].abs().max())
        figures[name] = {"steps_per_second": rates, "relative_difference": difference}
        ratios[f"diffusers {name}"] = rates["ours"] / rates["diffusers"]
    write(
        options.json,
        "ddim",
        settings={"rows": options.rows, "steps": options.steps, "of": OF},
        figures=figures,
        ratios={**ratios, "diffusers": min(ratios.values())},
    )


if __name__ == "__main__":
    main()

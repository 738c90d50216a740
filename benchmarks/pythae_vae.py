"""The VAE of Kingma & Welling (2014) trained in whichever environment has it: `ours` (and `ours, bfloat16`), or `pythae`
through its own trainer; and `limit`, which only multiplies the matrices of a step and lets Adam change the weights, and so
learns nothing.

python pythae_vae.py NAME FOLDER EPOCHS SEED THREADS

FOLDER holds train.npy and test.npy, binarized pictures of type uint8, 0 or 255. Both train 784–500–20–500–784 with tanh, Adam of
1e-3 and batches of 100. Before each epoch it prints a line and waits for one, so that several can take turns; at the end it
prints one JSON object: seconds of each epoch, and the test pictures' ELBO in nats.
"""

import functools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

HIDDEN, LATENT, BATCH, LEARNING_RATE = 500, 20, 100, 1e-3


def ours(train, test, epochs, seed, turn, **settings):
    from foldin.data import Examples
    from foldin.generative import VAE, Bernoulli, VAEConfig
    from foldin.training import Progress, fit

    class Turns(Progress):
        def begin(self, plan, epochs, done):
            turn()

        def epoch(self, record):
            if record.epoch < epochs:
                turn()

    config = VAEConfig(
        hidden_dims=(HIDDEN,),
        latent_dim=LATENT,
        likelihood=Bernoulli(),
        learning_rate=LEARNING_RATE,
        batch_size=BATCH,
        **settings,
    )
    model = VAE(tuple(train.shape[1:]), config, seed=seed)
    result = fit(model, Examples(train), seed=seed, epochs=epochs, progress=Turns())
    bound = model.elbo(Examples(test), torch.Generator().manual_seed(seed)).bound
    return [record.seconds for record in result.records], float(bound.double().mean())


def peer(train, test, epochs, seed, turn):
    import logging

    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    logging.disable(logging.INFO)
    width = int(np.prod(train.shape[1:]))

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.Tanh())
            self.mean, self.logvar = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

        def forward(self, x):
            h = self.layers(x)
            return ModelOutput(embedding=self.mean(h), log_covariance=self.logvar(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, width), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    seconds = []

    class Clock(TrainingCallback):
        def on_epoch_begin(self, training_config, **kwargs):
            turn()
            self.began = time.perf_counter()

        def on_epoch_end(self, training_config, **kwargs):
            seconds.append(time.perf_counter() - self.began)

    def dataset(pictures):
        return BaseDataset((pictures >= 128).float().flatten(1), torch.zeros(len(pictures)))

    torch.manual_seed(seed)
    config = VAEConfig(input_dim=(width,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            num_epochs=epochs,
            learning_rate=LEARNING_RATE,
            seed=seed,
            no_cuda=True,
        )
        BaseTrainer(model, dataset(train), training_config=settings, callbacks=[Clock()]).train()
    model.eval()
    with torch.no_grad():
        loss = model({"data": dataset(test).data}).loss
    return seconds, -float(loss)


def limit(train, test, epochs, seed, turn):
    width = int(np.prod(train.shape[1:]))
    shapes = [(HIDDEN, width), (2 * LATENT, HIDDEN), (HIDDEN, LATENT), (width, HIDDEN)]
    weights = [torch.nn.Parameter(torch.randn(shape) / 100) for shape in shapes]
    for one in weights:
        one.grad = torch.zeros_like(one)
    optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE, fused=True)
    # What is read and what comes back stay as they are; the results go elsewhere, and nothing grows.
    read, back = ([torch.randn(BATCH, shape[side]) / 100 for shape in shapes] for side in (1, 0))
    out, of_read = ([torch.empty(BATCH, shape[side]) for shape in shapes] for side in (0, 1))
    seconds = []
    for _ in range(epochs):
        turn()
        start = time.perf_counter()
        for _ in range(len(train) // BATCH):
            for layer in range(4):
                torch.mm(read[layer], weights[layer].data.t(), out=out[layer])
            for layer in (3, 2, 1, 0):
                torch.mm(back[layer].t(), read[layer], out=weights[layer].grad)
                if layer:
                    torch.mm(back[layer], weights[layer].data, out=of_read[layer])
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds, None


def main():
    name, folder, epochs, seed, threads = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])
    torch.set_num_threads(threads)
    train, test = (torch.from_numpy(np.load(folder / f"{part}.npy")) for part in ("train", "test"))
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the peer prints

    def turn():
        print("ready", file=result, flush=True)
        if not sys.stdin.readline():
            sys.exit("nobody gives turns any more")

    half = {"precision": "bfloat16"}
    kinds = {
        "ours": ours,
        "bfloat16": functools.partial(ours, **half),
        "compiled": functools.partial(ours, compiled=True),
        "compiled, bfloat16": functools.partial(ours, compiled=True, **half),
        "limit": limit,
        "pythae": peer,
    }
    seconds, elbo = kinds[name](train, test, epochs, seed, turn)
    print(json.dumps({"seconds": seconds, "test_elbo": elbo}), file=result, flush=True)


if __name__ == "__main__":
    main()

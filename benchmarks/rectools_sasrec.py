"""RecTools' SASRec on a log kept as NumPy arrays: run by the environment that `make bench-setup` makes for it.

python rectools_sasrec.py LOG.npz LENGTH BATCHES THREADS WHAT

WHAT is `epoch`: seconds of an epoch with full softmax, from the median batch (every one is padded to the same shape);
`fast_epoch`: the same of the network in `rectools.fast_transformers` on its prebuilt sequences, in a plain loop with the full
softmax of its own trainer; or `recommend`: seconds of top-10 lists for everybody. Prints one JSON object.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.fast_transformers import FlatSASRecNet, SequenceBatchDataset, build_sequences
from rectools.models import SASRecModel
from torch.utils.data import DataLoader

MARKS = []  # RecTools copies the trainer, its callbacks included: the marks stay outside


class Clock(Callback):
    def on_train_batch_end(self, *_):
        MARKS.append(time.perf_counter())


def trainer(batches=None):
    return Trainer(
        max_epochs=1,
        min_epochs=1,
        limit_train_batches=batches,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        callbacks=[Clock()],
    )


def fast_epoch(users, items, length, batches):
    """As `epoch`, through the fast path: sequences built once, no Lightning."""
    x, y, unique, _ = build_sequences(
        torch.from_numpy(users), torch.from_numpy(items).long(), torch.arange(len(items)), max_len=length
    )
    net = FlatSASRecNet(len(unique), 64, 2, 1, length, dropout=0.2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.train()
    marks = [time.perf_counter()]
    for batch in DataLoader(SequenceBatchDataset(x, y), batch_size=128, shuffle=True):
        logits = net({"x": batch["x"], "y": batch["y"]})
        targets = torch.where(batch["y"] == 0, -100, batch["y"] - 1)
        loss = torch.nn.functional.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        marks.append(time.perf_counter())
        if len(marks) > batches:
            break
    per_epoch = -(-len(x) // 128)
    steps = np.diff(marks)
    return {"seconds": float(np.median(steps[2:])) * per_epoch, "batches": per_epoch, "measured": len(steps) - 2}


def main():
    warnings.simplefilter("ignore")
    path, length, batches, threads, what = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    torch.set_num_threads(threads)
    stored = np.load(path)
    items, offsets = stored["items"], stored["offsets"]
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    if what == "fast_epoch":
        print(json.dumps(fast_epoch(users, items, length, batches)))
        return
    frame = pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(items)), unit="s"),
        }
    )
    dataset = Dataset.construct(frame)
    size = 128
    model = SASRecModel(
        n_blocks=2,
        n_heads=1,
        n_factors=64,
        session_max_len=length,
        loss="softmax",
        batch_size=size,
        epochs=1,
        dropout_rate=0.2,
        get_trainer_func=trainer,
        get_trainer_func_kwargs={"batches": batches},
    )
    model.fit(dataset)
    steps = np.diff(MARKS)
    per_epoch = -(-int((np.diff(offsets) > 1).sum()) // size)
    found = {"seconds": float(np.median(steps[2:])) * per_epoch, "batches": per_epoch, "measured": len(steps) - 2}
    if what == "recommend":
        start = time.perf_counter()
        model.recommend(users=np.arange(len(offsets) - 1), dataset=dataset, k=10, filter_viewed=True)
        found = {"seconds": time.perf_counter() - start}
    print(json.dumps(found))


if __name__ == "__main__":
    main()

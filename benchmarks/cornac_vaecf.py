"""One epoch of Cornac's VAECF; runs in Cornac's own environment and prints its seconds an epoch as JSON.

Usage: python cornac_vaecf.py LOG.npz STEPS
"""

import json
import sys
import time

import numpy as np
import scipy.sparse
import torch
from cornac.models.vaecf import vaecf


class Rows:
    """What `learn` needs of Cornac's Dataset: its CSR matrix and batches of users."""

    def __init__(self, matrix, limit):
        self.matrix, self.csr_matrix, self.num_users, self.num_items = matrix, matrix, matrix.shape[0], matrix.shape[1]
        self.limit = limit

    def user_iter(self, batch_size=1, shuffle=False):
        order = np.random.permutation(self.num_users) if shuffle else np.arange(self.num_users)
        for step in range(self.limit):
            yield order[step * batch_size : (step + 1) * batch_size]


def main():
    stored = np.load(sys.argv[1])
    steps = int(sys.argv[2])
    torch.set_num_threads(int(sys.argv[3]))
    matrix = scipy.sparse.csr_matrix(
        (np.ones(len(stored["items"]), np.float32), stored["items"], stored["offsets"]), shape=tuple(stored["shape"])
    )
    model = vaecf.VAE(200, [matrix.shape[1], 600], "tanh", "mult")

    def run(count):
        start = time.perf_counter()
        vaecf.learn(model, Rows(matrix, count), n_epochs=1, batch_size=500, learn_rate=0.001, beta=0.2, verbose=False)
        return time.perf_counter() - start

    run(3)
    print(json.dumps({"seconds": run(steps)}))


main()

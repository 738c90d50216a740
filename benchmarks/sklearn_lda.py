"""scikit-learn's LDA on a log kept as NumPy arrays: run by the environment that `make bench-setup` makes for it.

python sklearn_lda.py LOG.npz TOPICS PASSES METHOD OUT.npy

Prints one JSON object with the seconds a pass, and keeps the topics' parameters in OUT.
"""

import json
import sys
import time

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation


def main():
    path, topics, passes, method, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    stored = np.load(path)
    shape = (len(stored["offsets"]) - 1, int(stored["n_items"]))
    rows = csr_matrix((np.ones(len(stored["items"])), stored["items"], stored["offsets"]), shape=shape)
    # n_jobs=1 is its default; two workers of joblib are slower on batches of this size.
    model = LatentDirichletAllocation(
        topics, learning_method=method, max_iter=passes, total_samples=shape[0], random_state=0
    )
    start = time.perf_counter()
    model.fit(rows)
    seconds = time.perf_counter() - start
    np.save(out, model.components_)
    print(json.dumps({"seconds": seconds / passes}))


if __name__ == "__main__":
    main()

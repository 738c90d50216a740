"""Every model learns, lists and measures what it did before.

The files were made by `record.py`, `generative.py` and `later.py` at the commits in `provenance.json`, which also names what was
corrected since. On a machine
that rounds alike every number is the same to the bit; on another one training drifts apart by rounding, and only what it comes to
is compared.
"""

import json

import numpy as np
import pytest

from tests.golden import generative, later
from tests.golden.record import CASES, FOLDER, machine, record

# Vectors are assigned to their nearest codes while these train: where machines round differently, losses soon differ.
CHAOTIC = ("semantic-rq-vae", "tokens-rq-vae")
PROVENANCE = json.loads((FOLDER / "provenance.json").read_text(encoding="utf-8"))
RECORDS = {name: made.record for made in (generative, later) for name in made.CASES} | dict.fromkeys(CASES, record)


@pytest.mark.parametrize("name", RECORDS)
def test_it_is_as_before(name):
    alike = PROVENANCE["later"].get(name, PROVENANCE)["machine"] == machine()
    found = RECORDS[name](name)
    with np.load(FOLDER / f"{name}.npz") as kept:
        assert set(found) == set(kept.files)
        for key in kept.files:
            before = kept[key]
            assert before.shape == found[key].shape, key
            if alike:
                assert np.array_equal(before, found[key], equal_nan=before.dtype.kind == "f"), key
            elif key == "epochs" and name not in CHAOTIC:
                assert found[key] == pytest.approx(before, rel=0.02, abs=0.02)
            elif key.startswith("metric/"):
                assert found[key].mean() == pytest.approx(before.mean(), abs=0.2 if name in CHAOTIC else 0.05)
            elif key.startswith("report/") and name not in CHAOTIC:
                assert np.nanmean(found[key]) == pytest.approx(np.nanmean(before), rel=0.05, abs=0.05)

"""Training by several workers, compared with training by one."""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.kernels import drop_events
from foldin.models import MODELS, Recommender
from foldin.nn import dropout
from foldin.training import Progress, fit, joined
from foldin.training.shared_memory import SharedRows
from foldin.workers import ALONE, Group, GroupGenerator, Span, drawn, group_of
from tests.small import ITEMS, SETTINGS

# Models whose training is a closed form or EM, and the others that several workers can share: by gradient steps.
PASSES = ("popularity", "itemknn", "ease", "edlae", "sansa", "slim", "ials", "mixture", "plsa", "lda", "poisson")
STEPS = ("multvae", "multdae", "recvae", "sasrec", "elsa", "l-diffrec")
DAILY = ("ease", "lda", "multvae", "sasrec", "multvae, bfloat16", "multdae, sampled, tables of bfloat16")
# Batches whose parts are of different sizes, the last of 4 users; as many tokens for SASRec.
BATCHES: dict[str, dict[str, Any]] = {
    **{name: {"batch_size": 7, "epochs": 6} for name in STEPS},
    "sasrec": {"batch_tokens": 70, "epochs": 6, "mixer.dropout": 0.1, "crop": True},
    **{name: {"epochs": 3} for name in ("ials", "mixture", "plsa", "lda", "poisson")},
}
SAMPLED = {"loss": "sampled", "loss.negatives.n": 8, "batch_size": 7}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lda, online": ("lda", {"online": "online", "online.batch_size": 7, "epochs": 2}),
    "poisson, stochastic": ("poisson", {"ascent": "stochastic", "ascent.batch_size": 7, "epochs": 2}),
    "poisson, continued": ("poisson", {"ascent.restart": False, "epochs": 3}),
    "recvae, at once": ("recvae", {"alternation": None, "batch_size": 7, "epochs": 3}),
    "sasrec, bce": ("sasrec", {"loss": "bce", "loss.n_negatives": 3, "batch_tokens": 70, "epochs": 3}),
    "sasrec, gbce": ("sasrec", {"loss": "gbce", "loss.n_negatives": 5, "batch_tokens": 70, "epochs": 3}),
    "sasrec, sampled": ("sasrec", {"loss": "sampled", "batch_tokens": 70, "epochs": 3}),
    "sasrec, in batch": ("sasrec", {"loss": "sampled", "loss.negatives": "batch", "batch_tokens": 70, "epochs": 3}),
    "sasrec, relative": ("sasrec", {"positions": "relative", "block": "gated", "batch_tokens": 70, "epochs": 3}),
    "sasrec, tokens": ("sasrec", {"codebook_size": 6, "batch_tokens": 70, "epochs": 3}),
    **{f"{name}, sampled": (name, {**SAMPLED, "epochs": 6}) for name in ("multdae", "multvae", "recvae", "l-diffrec")},
    "recvae, sampled at once": ("recvae", {**SAMPLED, "alternation": None, "epochs": 3}),
    "multvae, sampled, few users": ("multvae", {**SAMPLED, "batch_size": 2, "epochs": 2}),
    "product": ("product", {"experts.0.epochs": 3, "experts.0.batch_size": 7}),
    "ease, few users": ("ease", {}),
    "plsa, few users": ("plsa", {"epochs": 2}),
    "multvae, few users": ("multvae", {"batch_size": 2, "epochs": 2}),
    # Products of parts of a batch are rounded apart from each other.
    "multvae, bfloat16": ("multvae", {"batch_size": 7, "epochs": 2}),
    "recvae, bfloat16": ("recvae", {"batch_size": 7, "epochs": 2}),
    "sasrec, bfloat16": ("sasrec", {"batch_tokens": 70, "epochs": 2}),
    "multvae, sampled, bfloat16": ("multvae", {**SAMPLED, "epochs": 2}),
    # Gradients of tables in bfloat16 are rounded in each part.
    "multdae, sampled, tables of bfloat16": ("multdae", {**SAMPLED, "loss.precision": "bfloat16", "epochs": 2}),
    "recvae, sampled, tables of bfloat16": ("recvae", {**SAMPLED, "loss.precision": "bfloat16", "epochs": 2}),
}
USERS, FEW = 60, 7  # batches of 2 of few users leave one of three workers without a user


def histories(users: int) -> Histories:
    """Users of two tastes, whose histories have from two to nine events."""
    rng = np.random.default_rng(1)
    return Histories.from_lists([rng.permutation(np.arange(u % 2, ITEMS, 2))[: 2 + u % 8] for u in range(users)], ITEMS)


class Terms(Progress):
    """The terms of every step."""

    def __init__(self) -> None:
        self.steps: list[list[float]] = []

    def step(self, phase: str, done: int, total: int, terms: Any) -> None:
        self.steps.append([float(value.detach()) for value in terms.values()])


def fitted(case: str, group: Group, epochs: int | None) -> tuple[Recommender[Any], list[list[float]]]:
    """A small model of a case, and the terms of its epochs and steps."""
    name, settings = VARIANTS.get(case, (case, BATCHES.get(case, {})))
    config = MODELS[name]().with_settings({**SETTINGS.get(name, {}), **settings})
    model: Recommender[Any] = config.model_class(ITEMS, config, seed=5)
    terms = Terms()
    users, precision = FEW if "few" in case else USERS, "bfloat16" if ", bfloat16" in case else "float32"
    result = fit(model, histories(users), seed=5, progress=terms, group=group, epochs=epochs, precision=precision)
    return model, [list(record.terms.values()) for record in result.records] + terms.steps


def shares_memory(group: Group) -> bool:
    """Whether the workers sum in memory that all of them map, as processes on one machine of Linux do."""
    return SharedRows.among(group.rank, group.size, 100, torch.float32) is not None or sys.platform != "linux"


def follow(rank: int, size: int, meeting: Path, cases: tuple[str, ...], epochs: int | None) -> None:
    """What a worker besides the first one does: it trains, and checks that its models are those of the first one."""
    torch.set_num_threads(1)
    with joined(rank, size, meeting=meeting) as group:
        assert shares_memory(group)
        for case in cases:
            for tensor in fitted(case, group, epochs)[0].tensors().values():
                of_first = tensor.detach().clone()
                group.same_(of_first)
                assert torch.equal(tensor, of_first), case


def compare(size: int, cases: tuple[str, ...], folder: Path, epochs: int | None = None) -> None:
    """Train the cases in this process and `size` − 1 others, and in this process alone; the results must agree."""
    meeting = folder / "meeting"
    spawn = multiprocessing.get_context("spawn")
    jobs = [(rank, size, meeting, cases, epochs) for rank in range(1, size)]
    others = [spawn.Process(target=follow, args=job, daemon=True) for job in jobs]
    for other in others:
        other.start()
    together = {}
    with joined(0, size, meeting=meeting) as group:
        assert shares_memory(group)
        for case in cases:
            model, terms = fitted(case, group, epochs)
            for tensor in model.tensors().values():
                group.same_(tensor)
            together[case] = model.state(), terms
        for other in others:
            other.join()
    assert [other.exitcode for other in others] == [0] * (size - 1)
    for case in cases:
        model, terms = fitted(case, ALONE, epochs)
        tensors, found = together[case]
        steps, rounded = len(terms) > len(found) or case.split(",")[0] in STEPS, "bfloat16" in case
        assert len(found) == len(terms)
        for one, other in zip(found, terms, strict=True):
            np.testing.assert_allclose(
                one,
                other,
                rtol=1e-2 if rounded else 1e-4 if steps else 1e-6,
                atol=1e-2 if rounded else 1e-5 if steps else 1e-9,
                err_msg=case,
            )
        if not steps:
            for name, tensor in model.tensors().items():
                close = np.testing.assert_allclose
                close(tensors[name], tensor.detach(), rtol=2e-6, atol=1e-7, err_msg=f"{case}, {name}")


def test_two_workers_learn_what_one_learns(tmp_path):
    compare(2, DAILY, tmp_path, epochs=1)


@pytest.mark.long
@pytest.mark.parametrize("size", [2, 3])
def test_every_model_is_the_same_for_any_number_of_workers(size, tmp_path):
    compare(size, (*PASSES, *STEPS, *VARIANTS), tmp_path)


def sharing(rank: int, counts: np.ndarray, parts: list[int]) -> GroupGenerator:
    """The generator of one of two workers, whose rows are those between two of `parts`."""
    found = GroupGenerator("cpu", Group(rank, 2))
    found.manual_seed(7)
    edges = np.concatenate(([0], np.cumsum(counts)))
    start, stop = parts[rank], parts[rank + 1]
    found.spans = {
        "users": Span(start, stop, len(counts), np.ones_like(counts), False),
        "events": Span(int(edges[start]), int(edges[stop]), int(edges[-1]), counts, False),
    }
    return found


def test_parts_of_the_noise_are_the_noise_of_the_whole_batch():
    counts, parts = np.array([3, 1, 4, 2, 5]), [0, 2, 5]
    rows = Histories.from_lists([list(range(count)) for count in counts], ITEMS)
    alone = torch.Generator().manual_seed(7)
    normals, bits = torch.randn(5, 3, generator=alone), dropout(torch.ones(5, 3, 2), 0.4, alone)
    dropped = drop_events(*rows.tensors(), torch.ones(rows.n_events), 0.5, alone)
    found = []
    for rank in range(2):
        generator, own = sharing(rank, counts, parts), rows.rows(parts[rank], parts[rank + 1])
        one = drawn((len(own), 3), generator, lambda shape, of=generator: torch.randn(shape, generator=of))
        two = dropout(torch.ones(len(own), 3, 2), 0.4, generator)
        found.append((one, two, drop_events(*own.tensors(), torch.ones(own.n_events), 0.5, generator)))
        assert group_of(generator).size == 2
    assert torch.equal(torch.cat([one for one, _, _ in found]), normals)
    assert torch.equal(torch.cat([two for _, two, _ in found]), bits)
    assert torch.equal(torch.cat([items for _, _, (items, _, _) in found]), dropped[0])
    assert group_of(alone) is ALONE


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 60])
def test_parts_are_all_rows_in_order_and_of_nearly_equal_size(size, count):
    parts = [Group(rank, size).part(count) for rank in range(size)]
    assert [row for part in parts for row in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_model_whose_batches_do_not_divide_is_refused():
    model: Recommender[Any] = MODELS["diffrec"].model_class(ITEMS)
    reason = "DiffRec is trained by one worker, not by 2: diffusion steps are drawn by the losses of all users"
    with pytest.raises(FitError, match=reason):
        fit(model, histories(USERS), group=Group(0, 2))


def test_a_process_that_nobody_launched_is_a_group_of_its_own(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    with joined() as group:
        assert (group.rank, group.size, group.first) == (0, 1, True)

"""Memory is counted before it is asked for; nothing here asks for much."""

import numpy as np
import pytest
import torch

from foldin import memory
from foldin.data import Histories
from foldin.errors import CapacityError
from foldin.memory import allocating, building, free_memory, in_words, require_memory
from foldin.models import ALS, EASE, MODELS, ALSConfig, ItemKNN, ItemKNNConfig
from foldin.training import fit

TRAIN = Histories.from_lists([[0, 1, 2], [1, 2], [3]], 6)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of files: 8 GB available, and whatever a test adds."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "meminfo").write_text("MemTotal:       99 kB\nMemAvailable:    8000000 kB\n")
    (proc / "self" / "status").write_text("VmSize:\t 1000 kB\nVmData:\t 500 kB\n")
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_CGROUP", groups)
    monkeypatch.setattr(memory, "_limited", list)
    return tmp_path


def test_the_least_of_all_limits_is_what_is_free(machine, monkeypatch):
    assert free_memory() == 8_192_000_000
    # Version 2 of control groups: a limit of a group above this process's own counts too.
    own = machine / "groups" / "outer" / "inner"
    own.mkdir(parents=True)
    (machine / "proc" / "self" / "cgroup").write_text("0::/outer/inner\n")
    (own / "memory.max").write_text("max\n")
    (own / "memory.current").write_text("5\n")
    assert free_memory() == 8_192_000_000
    (own.parent / "memory.max").write_text("3000\n")
    (own.parent / "memory.current").write_text("1000\n")
    assert free_memory() == 2000
    # In a container the process's path may be the host's; the group's files are at the root.
    (machine / "proc" / "self" / "cgroup").write_text("0::/host/path\n")
    (machine / "groups" / "memory.max").write_text("900\n")
    (machine / "groups" / "memory.current").write_text("1000\n")
    assert free_memory() == 0
    # Version 1.
    (machine / "proc" / "self" / "cgroup").write_text("4:cpu:/a\n5:memory:/a\n")
    (machine / "groups" / "memory" / "a").mkdir(parents=True)
    (machine / "groups" / "memory" / "a" / "memory.limit_in_bytes").write_text("700\n")
    (machine / "groups" / "memory" / "a" / "memory.usage_in_bytes").write_text("100\n")
    assert free_memory() == 600
    monkeypatch.setattr(memory, "_limited", lambda: [450, 800])
    assert free_memory() == 450


def test_limits_of_the_process_count(monkeypatch):
    resource = pytest.importorskip("resource")
    used = memory._entry(memory._PROC / "self" / "status", "VmSize")
    if used is None:
        pytest.skip("no /proc")
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (used + 10**9, -1) if kind == resource.RLIMIT_AS else (-1, -1)
    )
    assert 0 < min(memory._limited()) <= 10**9 + 10**8


@pytest.mark.parametrize(
    ("size", "words"),
    [(291_600_000_000, "292 GB"), (3.24e9, "3.2 GB"), (45e6, "45 MB"), (1.5e15, "1.5 PB"), (300, "0 kB")],
)
def test_sizes_in_words(size, words):
    assert in_words(size) == words


def test_what_does_not_fit_is_one_sentence(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device="cpu": 24 * 10**9)
    require_memory(23e9, "a little", "never mind")
    with pytest.raises(CapacityError, match=r"^EASE of 270,000 items needs 292 GB; 24 GB are free; try als$"):
        require_memory(4.0 * 270_000**2, "EASE of 270,000 items", "try als")
    monkeypatch.setattr(memory, "free_memory", lambda device="cpu": None)
    require_memory(1e30, "anything", "where nothing is known, nothing is refused")


def test_tensors_are_added_up_while_a_model_is_made(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device="cpu": 1000)
    with building("a small one", "make it smaller"):
        torch.zeros(10, 10)
        torch.ones((100,), dtype=torch.float32)
    for make in (
        lambda: torch.empty(10**12, 10**12),
        lambda: torch.randn(size=(10**10,)),
        lambda: torch.full((10**10,), 1.0),
        lambda: torch.arange(10**12),
        lambda: [torch.zeros(10, 10) for _ in range(3)],
        lambda: torch.zeros([200], dtype=torch.int64),
    ):
        said = r"^a big one needs more than .*; 1 kB are free; make it smaller$"
        with pytest.raises(CapacityError, match=said), building("a big one", "make it smaller"):
            make()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("elsa", {"embedding_dim": 10**12}),
        ("als", {"embedding_dim": 10**12}),
        ("ials", {"embedding_dim": 10**12}),
        ("mixture", {"n_components": 10**12}),
        ("plsa", {"n_components": 10**12}),
        ("lda", {"n_components": 10**12}),
        ("poisson", {"n_components": 10**12}),
        ("multdae", {"latent_dim": 10**12}),
        ("multvae", {"hidden_dims": (10**12,)}),
        ("recvae", {"hidden_dim": 10**12}),
        ("diffrec", {"hidden_dims": (10**12, 10**12)}),
        ("diffrec", {"time_dim": 10**9}),
        ("l-diffrec", {"latent_dim": 10**12}),
        ("sasrec", {"embedding_dim": 10**12}),
        ("sasrec", {"max_length": 10**12}),
        ("sasrec", {"codebook_size": 10**12}),
        ("sasrec", {"mixer": "frequency", "max_length": 10**12}),
        ("sasrec", {"mixer": "recurrence", "mixer.expansion": 10**12}),
        ("semantic", {"tokens.codebook_size": 10**12}),
        ("semantic", {"tokens.embedding_dim": 10**12}),
        ("semantic", {"embedding_dim": 10**12}),
    ],
    ids=str,
)
def test_no_setting_is_too_large_to_be_refused_in_a_sentence(name, settings):
    config = MODELS[name]().with_settings(settings)
    with pytest.raises(CapacityError, match=r"needs (more than )?.* are free; try smaller settings"):
        config.model_class(6, config)


def test_a_catalog_that_does_not_fit_is_refused_before_anything_is_made():
    with pytest.raises(
        CapacityError,
        match=r"EASE of 100,000,000 items needs 40 PB; .* are free; leave out rare items .* sansa, elsa or multvae",
    ):
        EASE(100_000_000)
    with pytest.raises(CapacityError, match=r"ItemKNN of 50,000,000 items with 49,999,999 neighbors each needs 30 PB"):
        ItemKNN(50_000_000, ItemKNNConfig(n_neighbors=2_000_000_000))
    assert ItemKNN(6, ItemKNNConfig(n_neighbors=2_000_000_000)).neighbors.shape == (6, 5)


@pytest.mark.parametrize("name", MODELS)
def test_training_is_counted_too(name, monkeypatch):
    kind = MODELS[name].model_class
    model = kind(6)
    if model.training_bytes(TRAIN) == 0:
        assert name in ("popularity", "personal", "itemknn", "contentknn")
        return
    monkeypatch.setattr(memory, "free_memory", lambda device="cpu": 8)
    with pytest.raises(CapacityError, match=rf"^training {kind.__name__} of 6 items needs .*; 0 kB are free; "):
        fit(model, TRAIN)


def test_what_allocators_say_is_one_clear_error():
    for error in (
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**12,), np.dtype("float64")),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    ):
        with (
            pytest.raises(CapacityError, match=r"^ease needs more memory than there is: .*; try als$"),
            allocating("ease", "try als"),
        ):
            raise error
    with pytest.raises(RuntimeError, match="shapes"), allocating("ease", "try als"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_users_are_folded_in_in_blocks_that_fit():
    assert ALS(10, ALSConfig(embedding_dim=64)).block() == 1024
    model = ALS(10, ALSConfig(embedding_dim=2000))
    assert model.block() * 4 * 2000**2 <= 64 << 20

"""Sums in memory that workers share, against sums of their vectors; and what is done where they cannot share memory."""

import threading

import pytest
import torch

import foldin.shared_memory as module
from foldin.shared_memory import SharedRows
from foldin.workers import Group
from tests.training.threads import Workers

COUNT = 1000


def vector(rank: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    return (100 * torch.randn(COUNT, generator=generator)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_rows_become_their_sum(size, dtype, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 64)  # parts of several blocks

    def summed(group: Group) -> torch.Tensor:
        rows = SharedRows.among(group.rank, size, COUNT, dtype)
        assert rows is not None
        for _ in range(2):  # the second sum overwrites the first one
            rows.own.copy_(vector(group.rank, dtype))
            rows.sum_(COUNT)
        return rows.own.clone()

    found = Workers(size, monkeypatch).run(summed)
    wanted = vector(0, dtype)
    for rank in range(1, size):
        wanted = wanted + vector(rank, dtype)
    assert all(torch.equal(one, wanted) for one in found)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_only_the_first_numbers_are_summed(count, monkeypatch):
    def summed(group: Group) -> torch.Tensor:
        own = group.memory("some", COUNT, torch.empty(0))
        own.copy_(vector(group.rank))
        group.sum_memory("some", count)
        return own.clone()

    for rank, one in enumerate(Workers(3, monkeypatch).run(summed)):
        assert torch.allclose(one[:count], sum(vector(each) for each in range(3))[:count])
        assert torch.equal(one[count:], vector(rank)[count:])


def test_memory_is_kept_until_more_is_needed(monkeypatch):
    def addresses(group: Group) -> list[int]:
        asked = [("a", 100), ("a", 60), ("b", 60), ("a", 101), ("a", 120), ("a", 125)]
        return [group.memory(name, count, torch.empty(0)).data_ptr() for name, count in asked]

    for first, smaller, other, larger, within, still_within in Workers(2, monkeypatch).run(addresses):
        assert first == smaller
        assert len({first, other, larger}) == 3
        assert larger == within == still_within


def not_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_machine", threading.get_ident)


def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError("/proc")

    monkeypatch.setattr(module.os, "open", refused)


def of_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor of that number is another file."""
    real = module.os.open
    monkeypatch.setattr(module.os, "open", lambda *_: real("/dev/null", module.os.O_RDWR))


def without_such_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module.os, "memfd_create")


@pytest.mark.parametrize("prevented", [not_of_one_machine, hidden, of_another_process, without_such_files])
def test_workers_that_cannot_share_memory_have_the_same_sums(prevented, monkeypatch):
    prevented(monkeypatch)

    def summed(group: Group) -> torch.Tensor:
        assert SharedRows.among(group.rank, 2, COUNT, torch.float32) is None
        own = group.memory("some", COUNT, torch.empty(0))
        own.copy_(vector(group.rank))
        group.sum_memory("some", COUNT)
        assert group.exchanged == 4 * COUNT
        return own

    one, other = Workers(2, monkeypatch).run(summed)
    assert torch.equal(one, other)
    assert torch.equal(one, vector(0) + vector(1))

"""Sums in memory that workers share, against sums of their vectors; and what is done where they cannot share memory."""

import contextlib
import gc
import threading
from pathlib import Path

import pytest
import torch

import foldin.training.shared_memory as module
from foldin.errors import FitError
from foldin.training.shared_memory import SharedRows
from foldin.training.sums import Sums
from foldin.workers import Group
from tests.training.threads import Workers

COUNT = 1000


def vector(rank: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    return (100 * torch.randn(COUNT, generator=generator)).to(dtype)


def descriptors() -> int:
    """How many of this process's descriptors are rows, or what a test gives in their place; others open and close their own."""
    gc.collect()
    names = []
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile, as that of the folder itself
            names.append(str(one.readlink()))
    return sum("memfd:foldin" in name or name == "/dev/zero" for name in names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_vectors_are_summed_in_a_row(size, dtype, monkeypatch):
    """Vectors whose ends lie within the parts of workers, and one without an entry."""
    monkeypatch.setattr(module, "_BLOCK", 64)  # parts of several blocks

    def summed(group: Group) -> list[list[torch.Tensor]]:
        rows = SharedRows.among(group.rank, size, COUNT, dtype)
        assert rows is not None
        found = []
        for _ in range(2):  # the second sum overwrites the first one
            given = torch.split(vector(group.rank, dtype)[:600], [150, 0, 1, 449])
            found.append([one.clone() for one in rows.sums(given)])
            assert torch.equal(torch.cat(given), vector(group.rank, dtype)[:600])
        return found

    found = Workers(size, monkeypatch).run(summed)
    wanted = torch.stack([vector(rank, dtype)[:600].double() for rank in range(size)]).sum(dim=0)
    exact = {torch.int64: 0.0, torch.float64: 1e-12, torch.float32: 1e-3, torch.bfloat16: 8.0}
    for of_worker in found:
        for one in of_worker:
            assert [len(each) for each in one] == [150, 0, 1, 449]
            assert torch.equal(torch.cat(one), torch.cat(found[0][0]))
            assert torch.allclose(torch.cat(one).double(), wanted, rtol=0.0, atol=exact[dtype])


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_sums_of_few_numbers_and_of_any_shape(count, size, monkeypatch):
    def summed(group: Group) -> list[torch.Tensor]:
        table = vector(group.rank)[: 6 * count].view(count, 6).t()  # not contiguous
        found = Sums(group)("some", table, vector(group.rank)[:1].view(()))
        return [one.clone() for one in found]

    total = torch.stack([vector(rank) for rank in range(size)]).sum(dim=0)
    for table, number in Workers(size, monkeypatch).run(summed):
        assert torch.allclose(table, total[: 6 * count].view(count, 6).t(), atol=1e-4)
        assert torch.allclose(number, total[0], atol=1e-4)


def test_memory_is_kept_until_more_is_needed(monkeypatch):
    def addresses(group: Group) -> list[int]:
        sums, asked = Sums(group), [("a", 100), ("a", 60), ("b", 60), ("a", 101), ("a", 120), ("a", 125)]
        found = [sums(name, torch.ones(count))[0] for name, count in asked]
        return [one.data_ptr() for one in found]

    for first, smaller, other, larger, within, still_within in Workers(2, monkeypatch).run(addresses):
        assert first == smaller
        assert len({first, other, larger}) == 3
        assert larger == within == still_within


def test_sums_of_one_name_and_several_types(monkeypatch):
    types = (torch.float32, torch.bfloat16, torch.float64)

    def summed(group: Group) -> list[torch.Tensor]:
        sums = Sums(group)
        return [sums("a", torch.ones(3, dtype=one))[0] for one in types]

    found = Workers(2, monkeypatch).run(summed)
    assert [one.dtype for one in found[1]] == list(types)
    assert all(one.tolist() == [2, 2, 2] for one in found[1])


def test_fewer_numbers_than_workers(monkeypatch):
    def summed(group: Group) -> list[list[float]]:
        rows = SharedRows.among(group.rank, 5, 3, torch.float32)
        assert rows is not None
        return [torch.cat(rows.sums([torch.full((count,), 2.0**group.rank)])).tolist() for count in (3, 1, 0)]

    assert Workers(5, monkeypatch).run(summed) == [[[31.0] * 3, [31.0], []]] * 5


def test_other_numbers_of_entries_are_refused_in_all_workers(monkeypatch):
    def refused(group: Group) -> None:
        rows = SharedRows.among(group.rank, 3, COUNT, torch.float32)
        assert rows is not None
        with pytest.raises(FitError, match="gradients of 3 numbers, another one of 5"):
            rows.sums([torch.ones((3, 4, 5)[group.rank])])

    Workers(3, monkeypatch).run(refused)


def not_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_machine", threading.get_ident)


def one_that_does_not_say_which_machine_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    first = threading.local()
    asked = iter([True, False])  # the two workers, in any order

    def number() -> int:
        if not hasattr(first, "known"):
            first.known = next(asked)
        return 7 if first.known else 0

    monkeypatch.setattr(module, "_machine", number)


def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError("/proc")

    monkeypatch.setattr(module.os, "open", refused)


def of_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor of that number is another file."""
    real = module.os.open
    monkeypatch.setattr(module.os, "open", lambda *_: real("/dev/zero", module.os.O_RDWR))


def unmappable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(module.mmap, "mmap", refused)


def without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(module.os, "posix_fallocate", refused)


def without_such_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module.os, "memfd_create")


@pytest.mark.parametrize(
    "prevented",
    [
        not_of_one_machine,
        one_that_does_not_say_which_machine_it_is,
        hidden,
        of_another_process,
        unmappable,
        without_memory,
        without_such_files,
    ],
)
def test_workers_that_cannot_share_memory_have_the_same_sums(prevented, monkeypatch):
    prevented(monkeypatch)
    before = descriptors()

    def summed(group: Group) -> torch.Tensor:
        assert SharedRows.among(group.rank, 2, COUNT, torch.float32) is None
        (found,) = Sums(group)("some", vector(group.rank))
        assert group.exchanged == 4 * COUNT
        return found

    one, other = Workers(2, monkeypatch).run(summed)
    assert torch.equal(one, other)
    assert torch.equal(one, vector(0) + vector(1))
    assert descriptors() <= before


def test_rows_leave_no_descriptor(monkeypatch):
    before = descriptors()

    def summed(group: Group) -> float:
        (found,) = Sums(group)("some", vector(group.rank))
        return float(found[0])

    Workers(2, monkeypatch).run(summed)
    assert descriptors() <= before

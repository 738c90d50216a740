"""Threads of our own: results in order, PyTorch on one thread in each, and its own setting left as it was."""

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from foldin.kernels.threads import (
    blas_on_one_thread,
    on_threads,
    operations_on_one_thread,
    scratch,
    thread_count,
)


def test_results_are_in_the_order_of_the_parts(set_threads):
    set_threads(2)
    assert on_threads(lambda n: n * n, list(range(20))) == [n * n for n in range(20)]
    assert on_threads(lambda n: n, []) == []


def test_pytorch_takes_one_thread_in_each_and_all_of_them_outside(set_threads):
    set_threads(3)
    inside = on_threads(lambda _: (torch.ones(1000).sum().item(), torch.get_num_threads())[1], [0] * 6)
    assert inside == [1] * 6
    assert torch.get_num_threads() == 3


def test_pytorch_s_operations_can_be_kept_to_one_thread_while_ours_are_not(set_threads):
    set_threads(2)
    with operations_on_one_thread():
        assert torch.get_num_threads() == 1
        assert thread_count() == 2
        together = threading.Barrier(2, timeout=30)
        on_threads(lambda _: together.wait(), [0, 1])  # both at once, or the barrier breaks
        with operations_on_one_thread():
            assert thread_count() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == thread_count() == 2


def test_blocks_of_one_thread_may_overlap(set_threads):
    set_threads(2)
    first, second = operations_on_one_thread(), operations_on_one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert thread_count() == 2
    assert torch.get_num_threads() == 1
    second.__exit__(None, None, None)
    assert thread_count() == torch.get_num_threads() == 2
    set_threads(3)
    assert thread_count() == 3


def test_the_setting_belongs_to_the_thread_that_asks(set_threads):
    set_threads(2)
    entered, leave, found = threading.Event(), threading.Event(), []

    def other() -> None:
        torch.set_num_threads(2)
        with operations_on_one_thread():
            entered.set()
            leave.wait(30)
        found.append((torch.get_num_threads(), thread_count()))

    worker = threading.Thread(target=other)
    with operations_on_one_thread():
        worker.start()
        entered.wait(30)
    assert torch.get_num_threads() == thread_count() == 2
    leave.set()
    worker.join()
    assert found == [(2, 2)]


def test_the_blas_has_the_threads_it_had_afterwards(set_threads):
    set_threads(2)

    def number():  # of NumPy's; SciPy and others bring an OpenBLAS of their own, perhaps only later
        found = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
        return [pool["num_threads"] for pool in found if "numpy" in pool["filepath"]]

    before = number()
    with blas_on_one_thread():
        assert set(number()) <= {1}
        with blas_on_one_thread():
            pass
        assert set(number()) <= {1}
    on_threads(lambda _: None, [0, 1])
    with pytest.raises(ValueError, match="stop"), blas_on_one_thread():
        raise ValueError("stop")
    assert number() == before


def test_work_inside_work_is_done_in_its_thread(set_threads):
    set_threads(2)
    with operations_on_one_thread():
        assert on_threads(lambda n: on_threads(lambda m: (m, thread_count()), [n, n + 1]), [0, 5]) == [
            [(0, 1), (1, 1)],
            [(5, 1), (6, 1)],
        ]


def test_an_error_comes_back_to_the_caller(set_threads):
    set_threads(2)

    def fail(n: int) -> int:
        raise ValueError(f"part {n}")

    with pytest.raises(ValueError, match="part 7"):
        on_threads(fail, [7])


def test_scratch_is_a_thread_s_own_and_is_used_again():
    mine = scratch("test", (2, 3), np.dtype(np.float32))
    mine[:] = 1.0
    assert np.shares_memory(mine, scratch("test", (3,), np.dtype(np.float32)))
    other = []
    worker = threading.Thread(target=lambda: other.append(scratch("test", (2, 3), np.dtype(np.float32))))
    worker.start()
    worker.join()
    assert not np.shares_memory(mine, other[0])

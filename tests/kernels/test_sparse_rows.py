"""Row-sparse gradients against the dense ones that they stand for."""

import pytest
import torch

from foldin.kernels import bag_of_rows, row_gradient, rows_of, take_rows

VALUES = torch.tensor([[1.0, 2.0], [0.5, -0.0], [-3.0, 2.0]])


def test_rows_that_come_twice_or_out_of_order_are_summed_and_sorted():
    given = torch.sparse_coo_tensor(torch.tensor([[2, 0, 2]]), VALUES, (4, 2), check_invariants=True)
    rows, values = rows_of(given)
    assert rows.tolist() == [0, 2]
    assert values.tolist() == [[0.5, 0.0], [-2.0, 4.0]]


@pytest.mark.parametrize("marked", [True, False])
def test_rows_in_order_are_taken_without_a_copy(marked):
    at = torch.tensor([1, 2, 7])
    given = row_gradient(at, VALUES, (9, 2)) if marked else torch.sparse_coo_tensor(at.unsqueeze(0), VALUES, (9, 2))
    assert given.is_coalesced() == marked
    rows, values = rows_of(given)
    assert torch.equal(rows, at)
    assert values.data_ptr() == VALUES.data_ptr()
    expected = torch.zeros(9, 2)
    expected[at] = VALUES
    assert torch.equal(given.to_dense(), expected)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_gradients_of_taken_rows_are_not_copied(kind):
    """PyTorch copies some gradients when it gives them to a parameter, and forgets of the others that they are in order."""
    tables = [torch.nn.Parameter(torch.ones(9, 2).to(kind)) for _ in range(2)]
    taken = take_rows(tables[0], torch.tensor([1, 4, 7]))
    read = bag_of_rows(tables[1], torch.tensor([4, 7, 4]), torch.tensor([0, 2, 3]), torch.ones(3))
    (taken.square().sum() + read.square().sum()).backward()
    for table, expected in zip(tables, ([1, 4, 7], [4, 7]), strict=True):
        assert table.grad is not None
        rows, values = rows_of(table.grad)
        assert rows.tolist() == expected
        assert values.data_ptr() == table.grad._values().data_ptr()


def test_a_gradient_without_a_row():
    rows, values = rows_of(row_gradient(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2), (5, 2)))
    assert (len(rows), values.shape) == (0, (0, 2))

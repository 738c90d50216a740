import torch

from foldin.kernels import Buffers, bag_of_items, drop_events, unit_weights

ITEMS, OFFSETS = torch.tensor([0, 2, 6, 1, 2]), torch.tensor([0, 3, 3, 5])


def dense(values: torch.Tensor, n_items: int) -> torch.Tensor:
    rows = torch.zeros(len(OFFSETS) - 1, n_items, dtype=values.dtype)
    users = torch.repeat_interleave(torch.arange(len(OFFSETS) - 1), OFFSETS.diff())
    return rows.index_put((users, ITEMS), values)


def test_it_is_the_product_with_the_dense_rows():
    values = torch.rand(5, dtype=torch.float64)
    weight = torch.randn(7, 4, dtype=torch.float64)
    assert torch.allclose(bag_of_items(weight, ITEMS, OFFSETS, values), dense(values, 7) @ weight)


def test_gradients_with_and_without_buffers():
    values = torch.rand(5, dtype=torch.float64)
    weight = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    buffers = Buffers()
    assert torch.autograd.gradcheck(lambda w: bag_of_items(w, ITEMS, OFFSETS, values), (weight,))
    assert torch.autograd.gradcheck(lambda w: bag_of_items(w, ITEMS, OFFSETS, values, buffers), (weight,))


def test_the_buffer_forgets_the_rows_of_the_step_before():
    weight = torch.nn.Parameter(torch.randn(7, 4))
    buffers = Buffers()
    for items in (torch.tensor([0, 1]), torch.tensor([5, 1])):
        weight.grad = None
        offsets, values = torch.tensor([0, 2]), torch.ones(2)
        bag_of_items(weight, items, offsets, values, buffers).sum().backward()
        expected = torch.zeros(7, 4)
        expected[items] = 1.0
        assert torch.equal(weight.grad, expected)


def test_gradients_of_two_steps_add_up_when_they_are_not_cleared():
    weight = torch.nn.Parameter(torch.randn(7, 4))
    buffers = Buffers()
    for _ in range(3):
        bag_of_items(weight, ITEMS, OFFSETS, torch.ones(5), buffers).sum().backward()
    assert torch.allclose(weight.grad[2], torch.full((4,), 6.0))


def test_the_gradient_lives_in_the_buffer_and_is_not_copied():
    weight = torch.nn.Parameter(torch.randn(7, 4))
    buffers = Buffers()
    places = []
    for _ in range(2):
        weight.grad = None
        bag_of_items(weight, ITEMS, OFFSETS, torch.ones(5), buffers).sum().backward()
        places.append(weight.grad.data_ptr())
    assert places[0] == places[1]


def test_unit_weights_have_norm_one_and_empty_rows_are_no_problem():
    weights = unit_weights(OFFSETS, torch.float64)
    norms = dense(weights, 7).norm(dim=1)
    assert torch.allclose(norms, torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))


def test_dropout_keeps_the_expectation():
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(3)
    for _ in range(2000):
        items, offsets, values = drop_events(ITEMS, OFFSETS, torch.ones(5), 0.3, generator)
        assert len(items) == len(values) == offsets[-1]
        total += bag_of_items(torch.ones(7, 1), items, offsets, values).squeeze(1)
    assert torch.allclose(total / 2000, torch.tensor([3.0, 0.0, 2.0]), atol=0.1)
    assert drop_events(ITEMS, OFFSETS, torch.ones(5), 0.0, generator)[0] is ITEMS

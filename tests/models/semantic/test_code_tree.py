"""Names of items as a tree: normalized, searched, and the same by either way of scoring."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.errors import ShapeError
from foldin.models.collisions import resolve_collisions
from foldin.models.semantic._code_beam import code_beam
from foldin.models.semantic._code_decoder import CodeDecoder
from foldin.models.semantic._code_scores import CodeScores
from foldin.models.semantic._code_tree import CodeTree

WIDTH, SIZES = 5, (4, 4, 3)


def some_names(count: int, seed: int = 0) -> np.ndarray:
    every = np.array(list(itertools.product(*(range(size) for size in SIZES))))
    return every[np.random.default_rng(seed).permutation(len(every))[:count]]


def made(seed: int = 0) -> tuple[CodeDecoder, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    decoder = CodeDecoder(SIZES, WIDTH, generator=generator, device=torch.device("cpu"))
    for parameter in decoder.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return decoder.requires_grad_(False), torch.randn(sum(SIZES), WIDTH, generator=generator)


def by_hand(decoder: CodeDecoder, table: torch.Tensor, state: torch.Tensor, names: np.ndarray) -> torch.Tensor:
    """log p of each name by the equations, one at a time."""
    rows = [tuple(row) for row in names.tolist()]
    found = []
    for name in rows:
        total, path = 0.0, torch.zeros(WIDTH)
        for level, code in enumerate(name):
            existing = sorted({row[level] for row in rows if row[:level] == name[:level]})
            asked = state @ decoder.asks[level]
            if level:
                asked = asked * (1 + path @ decoder.gates[level]) + path @ decoder.shifts[level]
            start = sum(SIZES[:level])
            logits = torch.stack([table[start + c] @ asked + decoder.bias[start + c] for c in existing])
            total += torch.log_softmax(logits, 0)[existing.index(code)]
            path = path + table[start + code]
        found.append(total)
    return torch.stack(found)


def of_all(decoder: CodeDecoder, tree: CodeTree, table: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    names = torch.empty(len(tree.item_of), len(tree.levels), dtype=torch.int64)
    for level, nodes in enumerate(tree.levels):
        names[:, level] = nodes.code[nodes.node_of]
    return CodeScores(decoder, tree, table, names).every(states)


@pytest.mark.parametrize("count", [1, 2, 17, 48])
def test_nodes_and_paths_give_the_probabilities_of_the_equations(count):
    names = some_names(count)
    tree, (decoder, table) = CodeTree(names), made()
    states = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([by_hand(decoder, table, state, names) for state in states])
    assert torch.allclose(of_all(decoder, tree, table, states), expected, atol=1e-5)
    assert torch.allclose(expected.exp().sum(1), torch.ones(3), atol=1e-5)
    pairs = torch.arange(3).repeat_interleave(count)
    every = torch.from_numpy(names).repeat(3, 1)
    along = decoder.log_prob(table, states[pairs], every, tree).sum(1).view(3, count)
    assert torch.allclose(along, expected, atol=1e-5)


def test_without_a_tree_all_codes_of_a_level_share_the_probability():
    decoder, table = made()
    every = torch.tensor(list(itertools.product(*(range(size) for size in SIZES))))
    state = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(2)).expand(len(every), -1)
    assert decoder.log_prob(table, state, every, None).sum(1).exp().sum() == pytest.approx(1.0, abs=1e-5)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 50),
    count=st.integers(1, 48),
    denied=st.sets(st.integers(0, 47)),
    seen=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 47))),
)
def test_a_full_beam_is_exhaustive_and_never_leaves_what_is_allowed(seed, count, denied, seen):
    names = some_names(count, seed)
    tree, (decoder, table) = CodeTree(names), made(seed)
    states = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(seed))
    allowed = torch.tensor([item not in denied for item in range(count)])
    pairs = sorted((user, item) for user, item in seen if item < count)
    users, items = (torch.tensor([pair[at] for pair in pairs], dtype=torch.int64) for at in (0, 1))
    scores = of_all(decoder, tree, table, states).masked_fill(~allowed, -torch.inf)
    scores[users, items] = -torch.inf
    expected, order = scores.sort(dim=1, descending=True, stable=True)
    logp, found = code_beam(decoder, tree, table, states, 48, allowed=allowed, seen=(users, items))
    assert (found[:, count:] == -1).all()  # there may be more places than items
    logp, found = logp[:, :count], found[:, :count]
    assert torch.allclose(logp, expected, atol=1e-5)
    assert ((found == -1) == (expected == -torch.inf)).all()
    # Of items as probable to the last bits either order will do.
    there = found >= 0
    assert torch.allclose(scores.gather(1, found.clamp(min=0))[there], expected[there], atol=1e-5)
    assert sorted(order[there].tolist()) == sorted(found[there].tolist())
    narrow, few = code_beam(decoder, tree, table, states, 2, allowed=allowed, seen=(users, items))
    for user in range(3):
        listed = [item for item in few[user].tolist() if item >= 0]
        assert len(set(listed)) == len(listed)
        assert all(allowed[item] and (user, item) not in seen for item in listed)
        # The search never ends with nothing while there is something to find.
        assert bool(listed) == bool(there[user].any())
    reached = few >= 0
    assert torch.allclose(narrow[reached], scores.gather(1, few.clamp(min=0))[reached], atol=1e-5)


def test_a_tree_refuses_names_that_are_not_names():
    with pytest.raises(ShapeError, match="1 of 3 items share their name"):
        CodeTree(np.array([[0, 1], [1, 0], [0, 1]]))
    with pytest.raises(ShapeError, match="codes from 0 on"):
        CodeTree(np.array([[0, -1]]))
    with pytest.raises(ShapeError, match="codes from 0 on"):
        CodeTree(np.empty((0, 2), dtype=np.int64))


def test_equal_codes_are_told_apart_and_keep_their_codes_while_there_is_room():
    codes = np.array([[1, 1], [0, 2], [1, 1], [1, 1]])
    rng = np.random.default_rng(0)
    assert resolve_collisions(codes, 3, rng).tolist() == [[1, 1, 0], [0, 2, 0], [1, 1, 1], [1, 1, 2]]
    crowded = resolve_collisions(np.zeros((20, 2), dtype=np.int64), 3, rng)
    assert len(np.unique(crowded, axis=0)) == 20
    assert (crowded[:9, 0] == 0).all()  # first the last code moves
    assert crowded.max() < 3
    with pytest.raises(ShapeError, match="more items than names"):
        resolve_collisions(np.zeros((9, 1), dtype=np.int64), 2, rng)


def test_new_names_are_none_of_those_there_are():
    old = resolve_collisions(np.array([[0, 0], [0, 0], [1, 2]]), 3, np.random.default_rng(0))
    new = resolve_collisions(np.array([[0, 0], [1, 2], [2, 2]]), 3, np.random.default_rng(0), taken=old)
    assert new.tolist() == [[0, 0, 2], [1, 2, 1], [2, 2, 0]]

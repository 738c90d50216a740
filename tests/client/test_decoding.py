"""Typed answers from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from foldin.client.decoding import UnexpectedError, decode


@dataclass(frozen=True)
class Leaf:
    size: float
    name: str | None = None


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    place: tuple[float, int]
    notes: Mapping[str, Any]
    counts: Mapping[str, int] | None


def test_values_become_their_types_and_other_fields_are_ignored():
    found = decode(
        Tree,
        {"leaves": [{"size": 1, "new": 2}], "place": [1, 2], "notes": {"a": [1, None]}, "counts": None, "later": {}},
    )
    assert found == Tree((Leaf(1.0),), (1.0, 2), {"a": [1, None]}, None)
    assert type(found.leaves[0].size) is float
    assert decode(tuple[str, ...], ["a"]) == ("a",)
    assert decode(Mapping[str, int], {"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leaves": [{"size": 1}, {"size": "x"}]}, "leaves.1.size: float was expected, not 'x'"),
        ({"leaves": [{"size": True}]}, "leaves.0.size: float was expected, not 'True'"),
        ({"leaves": [{"name": "n"}]}, "leaves.0.size: it is missing"),
        ({"leaves": {"0": {}}}, "leaves: an array was expected"),
        ({"leaves": [[]]}, "leaves.0: an object was expected"),
        ({"place": [1]}, "place: an array of 2 was expected"),
        ({"place": [1, 2.5]}, "place.1: int was expected, not '2.5'"),
        ({"place": [1, True]}, "place.1: int was expected, not 'True'"),
        ({"notes": []}, "notes: an object was expected"),
        ({"counts": {"a": "b"}}, "counts.a: int was expected, not 'b'"),
        ({"leaves": [{"size": 1, "name": 3}]}, "leaves.0.name: str was expected, not '3'"),
    ],
)
def test_another_type_is_refused_with_its_place(change, message):
    with pytest.raises(UnexpectedError) as wrong:
        decode(Tree, {"leaves": [], "place": [1, 2], "notes": {}, "counts": None} | change)
    assert str(wrong.value).startswith(message)
    with pytest.raises(UnexpectedError, match="the answer: an object was expected"):
        decode(Tree, None)

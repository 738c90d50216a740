"""The right values of the exercises on recommendation."""

import math

from foldin.book.exercise import Exercise

__all__ = ["EXERCISES"]


def score_against_popular_negatives(p: float = 0.02, q: float = 0.005) -> float:
    """The score of an item, log p/q, that minimizes the binary loss with one negative from q."""
    return math.log(p / q)


def ndcg_of_a_short_list(places: tuple[int, ...] = (1, 3), length: int = 3, relevant: int = 4) -> float:
    """NDCG of a list with relevant items at some places, out of more relevant items than the list is long."""
    gain = sum(1.0 / math.log2(place + 1) for place in places)
    return gain / sum(1.0 / math.log2(place + 1) for place in range(1, min(length, relevant) + 1))


EXERCISES = {
    2: Exercise(
        score_against_popular_negatives,
        0.005,
        "nats",
        "where is the derivative of the expected loss by the score of one item zero?",
    ),
    3: Exercise(
        ndcg_of_a_short_list,
        0.003,
        "",
        "the discount of place 2 is log₂ 3; the ideal list has as many places as the list itself, all of them relevant",
    ),
}

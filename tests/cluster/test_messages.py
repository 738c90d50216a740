"""Errors of foldin, sent as text."""

import inspect

import pytest

from foldin import errors
from foldin.cluster.messages import Refusal, RefusedError, or_refusal, unless_refused
from foldin.errors import FoldinError, MissingExtraError, OutdatedError

KINDS = [
    one
    for one in vars(errors).values()
    if inspect.isclass(one) and issubclass(one, FoldinError) and one is not FoldinError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_with_its_class_and_message(kind):
    made = {
        MissingExtraError: lambda: MissingExtraError("x", "y", "z"),
        OutdatedError: lambda: OutdatedError("late", expected=1, found=2),
    }.get(kind, lambda: kind("what and where"))()

    def work():
        raise made

    sent = or_refusal(work)
    with pytest.raises(kind) as caught:
        unless_refused(sent)
    assert str(caught.value) == str(made)
    assert RefusedError(sent).refusal == Refusal(kind.__name__, str(made))


def test_what_is_no_refusal_is_the_answer_and_other_errors_are_raised_at_once():
    assert unless_refused(or_refusal(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        or_refusal(lambda: 1 / 0)

"""Checks that a log has what the weights of its events depend on: kinds, ratings and times."""

from collections.abc import Mapping, Sequence

from foldin.data.histories import Histories
from foldin.data.log.columns import listed
from foldin.data.log.options import ReadOptions
from foldin.data.log.report import ReadReport
from foldin.errors import ColumnError

__all__ = ["check_weighable", "kinds_weighted"]


def check_weighable(options: ReadOptions, columns: Mapping[str, str | None], source: str, names: Sequence[str]) -> None:
    """Raise unless the log has the columns on which the weights of its events depend.

    Args:
        columns: name of the column of each role.
        names: names of all columns.

    Raises:
        ColumnError: no column of kinds, ratings or times; the message gives the option.
    """
    needs = (
        ("--weight", "kinds of events (--kind)", options.weights, "kind"),
        ("--dislike-below", "ratings (--rating)", options.dislike_below, "rating"),
        ("--half-life", "absolute times (--time)", options.half_life, "time"),
    )
    for option, what, given, role in needs:
        if given is not None and columns.get(role) is None:
            raise ColumnError(f"{source}: {option} needs a column of {what}; there are {listed(list(names))}")


def kinds_weighted(options: ReadOptions, histories: Histories, kinds: Sequence[str], report: ReadReport) -> ReadReport:
    """The report, with a warning for each kind that has a weight and no event, and a note on the number of dislikes.

    Raises:
        ColumnError: no event is of a kind that has a weight, or the times of a log with a half-life are not absolute.
    """
    rule = options.weighting
    if rule is None:
        return report
    if options.half_life is not None and histories.times is None:
        raise ColumnError(f"{report.source}: --half-life needs absolute times, and the times only order the events")
    missing = [kind for kind in rule.kinds if kind not in kinds]
    there = ", ".join(one or "none" for one in kinds)
    if rule.kinds and len(missing) == len(rule.kinds):
        raise ColumnError(f"{report.source}: --weight: no event of the kind {missing[0]!r}; there are {there}")
    for kind in missing:
        text = f"events were read, and none of the kind {kind!r}, which has a weight; there are {there}"
        report = report.noted(histories.n_events, text, warning=True)
    dislikes = sum(int((rule.of(part, kinds) < 0.0).sum()) for part in histories.parts())
    return report.noted(dislikes, "events are dislikes of their items")

"""Text → dates. The layout is found from the values; if two layouts fit equally well, none is chosen."""

import re
import warnings

import polars as pl

from foldin.errors import ColumnError

__all__ = ["ORDERS", "layouts_of", "parse_dates", "read_as", "spread"]

ORDERS = DAY_FIRST, MONTH_FIRST, YEAR_FIRST = ("day-first", "month-first", "year-first")
_ORDERS = {
    "%Y": {DAY_FIRST: "dmY", MONTH_FIRST: "mdY"},
    "%y": {DAY_FIRST: "dmy", MONTH_FIRST: "mdy", YEAR_FIRST: "ymd"},
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"(?<!\d)\d{1,2}:\d{2}(?P<second>:\d{2}(?P<fraction>\.\d{1,9})?)?(?P<half> ?[AaPp][Mm])?(?!\d)")
_ZONE = re.compile(r"(?P<word> ?(?:UTC|GMT|[Zz]))(?![A-Za-z])|(?P<blank> ?)[+-]\d{2}(?::?\d{2})?(?P<after> UTC)?(?!\d)")
_BASIC = re.compile(
    r"(?P<day>\d{8})T(?P<clock>\d{4}(?P<second>\d{2}(?P<fraction>\.\d{1,9})?)?)(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
_TOKENS = re.compile(r"\d+|[A-Za-z]+|[^\dA-Za-z]+")
_BETWEEN = re.compile(r"[-/.,: \0年月日년월일]+")


def spread(column: pl.Series, most: int = 1000) -> pl.Series:
    """Up to `most` values that are not null, evenly spread over the column."""
    full = column.drop_nulls()
    return full if full.len() <= most else full.gather_every(full.len() // most + 1)


def _zone(found: re.Match[str]) -> str:
    return found["word"] or f"{found['blank']}%#z{found['after'] or ''}"


def layouts_of(value: str) -> tuple[str, ...]:
    """The possible strptime layouts of a date: several if the order of day, month and year is open, none if it is not a date."""
    if found := _BASIC.fullmatch(value):
        clock = "%H%M" + ("%S" if found["second"] else "") + ("%.f" if found["fraction"] else "")
        zone = "" if found["zone"] is None else "Z" if found["zone"] == "Z" else "%#z"
        return (f"%Y%m%dT{clock}{zone}",)
    clock_at, date, middle = _CLOCK.search(value), value, ""
    if clock_at is not None:
        half, rest = clock_at["half"] or "", value[clock_at.end() :]
        middle = ("%I" if half else "%H") + ":%M" + (":%S" if clock_at["second"] else "")
        middle += (
            ("%.f" if clock_at["fraction"] else "") + (" " if half.startswith(" ") else "") + ("%p" if half else "")
        )
        if zone_at := _ZONE.match(rest):
            middle, rest = middle + _zone(zone_at), rest[zone_at.end() :]
        date = value[: clock_at.start()] + "\0" + rest
    return tuple(layout.replace("\0", middle) for layout in _date_layouts(date))


def _date_layouts(date: str) -> tuple[str, ...]:
    """Layouts of the date in a text whose time of day has been replaced by a zero byte."""
    parts: list[str] = _TOKENS.findall(date)
    numbers = [at for at, part in enumerate(parts) if part.isdigit()]
    months = 0
    for at, part in enumerate(parts):
        if part.isdigit():
            continue
        word = part.lower()[:3]
        if part.isalpha() and part.isascii():
            if word in _MONTHS:
                parts[at], months = "%B", months + 1
            elif word in _DAYS:
                parts[at] = "%A"
            elif not (part == "T" and at + 1 < len(parts) and parts[at + 1].startswith("\0")):
                return ()
        elif not _BETWEEN.fullmatch(part):
            return ()
    widths = [len(parts[at]) for at in numbers]
    signs: list[str]
    if months == 1 and len(widths) == 2:
        signs = ["Yd"] if widths[0] == 4 else ["dY"] if widths[1] == 4 else ["dy"] if widths == [2, 2] else []
    elif months or len(widths) != 3:
        return ()
    elif widths[0] == 4 and max(widths[1:]) <= 2:
        signs = ["Ymd"]
    elif max(widths[:2]) <= 2 and widths[2] == 4:
        signs = ["mdY"] if parts[numbers[1] + 1] == ", " else list(_ORDERS["%Y"].values())
    else:
        signs = list(_ORDERS["%y"].values()) if widths == [2, 2, 2] else []
    layouts = []
    for order in signs:
        for at, sign in zip(numbers, order, strict=True):
            parts[at] = f"%{sign}"
        layouts.append("".join(parts))
    return tuple(layouts)


def read_as(text: pl.Series, layout: str) -> pl.Series:
    """The dates of a layout, naive and in UTC; null where a value is not of the layout.

    Raises:
        ColumnError: no such layout.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dates = text.str.to_datetime(layout, strict=False, time_unit="us")
    except (pl.exceptions.PolarsError, Warning) as error:
        raise ColumnError(f"--time-format {layout!r} is not a layout of dates: {str(error).splitlines()[0]}") from error
    return dates.dt.replace_time_zone(None) if dates.dtype == pl.Datetime("us", "UTC") else dates


def _order_of_days(text: pl.Series, layouts: tuple[str, ...], hint: str | None, where: str) -> str:
    """The order of day, month and year, from all values of the column.

    Raises:
        ColumnError: several orders fit, or different rows have different ones.
    """
    orders = _ORDERS["%Y" if "%Y" in layouts[0] else "%y"]
    parts = text.str.extract_groups(r"^(?<a>\d{1,2})(?<sep>[-/. ]+)(?<b>\d{1,2})[-/. ]+(?<c>\d{1,4})").struct.unnest()
    most = parts.select(pl.col("a", "b", "c").cast(pl.Int32).max()).row(0)
    month = {DAY_FIRST: 1, MONTH_FIRST: 0, YEAR_FIRST: 1}
    day = {DAY_FIRST: 0, MONTH_FIRST: 1, YEAR_FIRST: 2}
    fit = [one for one in orders if most[month[one]] <= 12 and most[day[one]] <= 31]
    if hint in orders:
        return hint
    if len(fit) == 1:
        return fit[0]
    first = str(text.drop_nulls()[0])
    if not fit:
        numbers = parts.select(pl.col("a", "b").cast(pl.Int32))
        late, early = ((numbers[name] > 12).fill_null(value=False).arg_true() for name in ("a", "b"))
        if late.len() and early.len():
            raise ColumnError(
                f"{where}: mixes dates with the day first ({text[int(late[0])]!r}) and with the month first "
                f"({text[int(early[0])]!r}): write all in one order"
            )
        return DAY_FIRST  # some value is not a date in any order; the caller reports its row
    if DAY_FIRST in fit and YEAR_FIRST not in fit and (parts["sep"] == ".").fill_null(value=True).all():
        return DAY_FIRST  # dates with dots never have the month first
    if (parts["a"] == parts["b"]).all() and YEAR_FIRST not in fit:
        return DAY_FIRST
    by_order = dict(zip(orders, layouts, strict=True))
    readings = " or ".join(f"{read_as(pl.Series([first]), by_order[one])[0]:%Y-%m-%d}" for one in fit)
    raise ColumnError(
        f"{where}: {first!r} can be {readings}, and so can every other value; choose one with --time-format {' or '.join(fit)}"
    )


def parse_dates(text: pl.Series, hint: str | None, where: str) -> tuple[pl.Series, str]:
    """(dates in UTC, the layouts found); null for values that are not dates in these layouts.

    Args:
        hint: `day-first`, `month-first`, `year-first`, a strptime layout, or None to find the layout.
        where: file and column, for messages.

    Raises:
        ColumnError: dates that can be read in two ways.
    """
    if hint is not None and "%" in hint:
        layout = hint.replace(".%f", "%.f")
        return read_as(text, layout), hint
    dates = pl.repeat(None, text.len(), dtype=pl.Datetime("us"), eager=True)
    used: list[str] = []
    order: str | None = None
    left = text
    while left.null_count() < left.len():
        options = [layouts for layouts in map(layouts_of, spread(left)) if layouts]
        if not options:
            break
        layouts = max(dict.fromkeys(options), key=options.count)
        if len(layouts) > 1 and order is None:
            order = _order_of_days(text, layouts, hint, where)
        names = list(_ORDERS["%Y" if "%Y" in layouts[0] else "%y"])
        layout = layouts[names.index(order) if len(layouts) > 1 and order in names else 0]
        found = read_as(left, layout)
        if found.null_count() == found.len() or layout in used:
            break
        used.append(layout)
        dates = found if len(used) == 1 else dates.zip_with(dates.is_not_null(), found)
        if found.null_count() == left.null_count():
            break
        left = left.set(found.is_not_null(), None)
    return dates, " and ".join(used)

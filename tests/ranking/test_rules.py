"""Rules as they are stated, and in item indices."""

import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog, Filters
from foldin.errors import ConfigError, UnknownItemError
from foldin.ranking import DPP, MMR, Boost, Cap, Freshness, Pin, Rules, resolve_rules, rules_from_text, rules_of

CATALOG = Catalog(
    pl.DataFrame(
        {
            "item": list("abcde"),
            "count": [5, 4, 3, 2, 1],
            "genres": ["x|y", "x", None, "y|z", "z"],
            "tags": [["p", "p"], [], ["q"], ["p", "q"], None],
            "good": [True, False, True, None, False],
            "year": [2000.0, 1990.0, None, 1980.0, 2010.0],
            "day": [datetime.date(2024, 1, day) for day in (31, 21, 11, 1)] + [None],
            "text": ["2024-01-31", "2024-01-21T12:00:00", None, "2024-01-01", "2024-01-11 08:00"],
        }
    )
)
EVERY = {
    "boosts": [{"where": {"genres": {"any_of": ["x"]}, "year": {"low": 1995}}, "log_weight": 0.5}],
    "freshness": {"feature": "year", "half_life": 10, "log_weight": 1.0, "now": 2005},
    "diversity": {"method": "mmr", "theta": 0.3, "feature": "tags"},
    "caps": [{"feature": "genres", "most": 1}],
    "pins": [{"item": "b", "position": 2, "forced": True}],
    "pool": 50,
}
STATED = Rules(
    (Boost(EVERY["boosts"][0]["where"], 0.5),),
    Freshness("year", 10, 1.0, 2005),
    MMR(0.3, "tags"),
    (Cap("genres", 1),),
    (Pin("b", 2, True),),
    pool=50,
)


def test_rules_are_stated_in_python_or_as_data(tmp_path):
    assert rules_of(EVERY, "rules") == STATED
    (tmp_path / "rules.json").write_text('{"diversity": {"method": "dpp", "theta": 1}, "caps": null}')
    assert rules_from_text(str(tmp_path / "rules.json"), "--rules") == Rules(diversity=DPP(1))
    assert not rules_from_text("{}", "--rules")
    assert STATED


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "rules: an object of rules was expected"),
        ({"boost": []}, "rules: no rule 'boost'; there are boosts, freshness"),
        ({"caps": {"genres": 2}}, "rules: caps: a list was expected"),
        ({"caps": [{"feature": "genres"}]}, r"rules: caps\[0\]: missing 1 required positional argument: 'most'"),
        (
            {"caps": [{"feature": "genres", "most": 0}]},
            r"caps\[0\]: cap: most must be a whole number of at least 1, not 0",
        ),
        ({"caps": [{"feature": "a", "most": 1}] * 2}, "rules: caps: two on the feature 'a'"),
        ({"pins": [{"item": "a", "position": 1}, {"item": "b", "position": 1}]}, "pins: two at the position 1"),
        ({"pins": [{"item": "a", "position": 1}, {"item": "a", "position": 2}]}, "pins: two of the item 'a'"),
        ({"pins": [{"item": True, "position": 1}]}, "pin: an id and true or false"),
        ({"pins": [{"item": "a", "position": True}]}, "pin: position must be a whole number"),
        ({"pins": [{"id": "a"}]}, r"pins\[0\]: an object with some of item, position, forced was expected"),
        ({"boosts": [{"where": {}, "log_weight": 1}]}, "boost: where needs at least one condition"),
        ({"boosts": [{"where": {"a": {"some": 1}}, "log_weight": 1}]}, "boost: where: a: no condition 'some'"),
        ({"boosts": [{"where": {"a": {"low": 1}}, "log_weight": float("inf")}]}, "log_weight must be a finite number"),
        ({"freshness": {"feature": "year", "half_life": 0, "log_weight": 1}}, "half_life must be positive, not 0"),
        ({"diversity": {"theta": 0.5}}, "diversity: an object with the method mmr or dpp was expected"),
        ({"diversity": {"method": "dpp", "theta": 2}}, r"theta must be a number in \[0, 1\], not 2"),
        ({"pool": 0}, "rules: pool must be a whole number"),
    ],
)
def test_what_cannot_hold_is_refused(found, said):
    with pytest.raises(ConfigError, match=said):
        rules_of(found, "rules")


def test_text_that_states_no_rules_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"^--rules: '\{' is no JSON"):
        rules_from_text("{", "--rules")
    with pytest.raises(ConfigError, match=r"^--rules: .*none.json: No such file"):
        rules_from_text(str(tmp_path / "none.json"), "--rules")


def test_the_values_of_features():
    def values(name):
        offsets, codes = Filters(CATALOG).codes(name)
        return [codes[start:stop].tolist() for start, stop in pairwise(offsets)]

    assert values("genres") == [[0, 1], [0], [], [1, 2], [2]]
    assert values("tags") == [[0], [], [1], [0, 1], []]
    assert values("good") == [[1], [0], [1], [], [0]]
    assert values("year") == [[2], [1], [], [0], [3]]
    with pytest.raises(ConfigError, match="no feature 'none'; there are count, genres"):
        Filters(CATALOG).codes("none")


def weights(**rules) -> list[np.ndarray]:
    return [values for _, values in resolve_rules(Rules(**rules), CATALOG).weights]


def test_weights_of_boosts_and_of_freshness():
    boosts = [
        Boost({"genres": {"any_of": ["x"]}}, 0.5),
        Boost({"year": {"high": 1990}, "tags": {"any_of": ["p"]}}, -2.0),
    ]
    assert [one.tolist() for one in weights(boosts=boosts)] == [[0.5, 0.5, 0, 0, 0], [0, 0, 0, -2, 0]]
    (fresh,) = weights(freshness=Freshness("year", 10, 2.0))
    assert fresh == pytest.approx([2 * 0.5, 2 * 0.25, 0, 2 * 0.125, 2])
    (fresh,) = weights(freshness=Freshness("year", 10, 2.0, now=2000))
    assert fresh == pytest.approx([2, 2 * 0.5, 0, 2 * 0.25, 2])
    (fresh,) = weights(freshness=Freshness("day", 10, 1.0))
    assert fresh == pytest.approx([1, 0.5, 0.25, 0.125, 0])
    east = datetime.timezone(datetime.timedelta(hours=9))
    for now in (
        datetime.date(2024, 2, 20),
        datetime.datetime(2024, 2, 20, 23),
        datetime.datetime(2024, 2, 21, 8, tzinfo=east),
    ):
        assert weights(freshness=Freshness("text", 20, 1.0, now=now))[0] == pytest.approx(
            [0.5, 2**-1.5, 0, 2**-2.5, 0.25]
        )
    (fresh,) = weights(freshness=Freshness("text", 20, 1.0, now="2024-02-20"))
    assert fresh == pytest.approx([2**-1, 2**-1.5, 0, 2**-2.5, 2**-2])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(caps=[Cap("none", 1)]), "cap: no feature 'none'"),
        (Rules(diversity=MMR(0.5, "none")), "diversity: no feature 'none'"),
        (Rules(freshness=Freshness("none", 1, 1)), "freshness: no feature 'none'"),
        (Rules(freshness=Freshness("title", 1, 1)), "freshness: no feature 'title'"),
        (Rules(freshness=Freshness("genres", 1, 1)), "freshness: genres: 'x|y' does not begin with a date"),
        (Rules(freshness=Freshness("tags", 1, 1)), "freshness: feature 'tags' contains neither dates nor numbers"),
        (Rules(freshness=Freshness("year", 1, 1, now="2024-01-01")), "now must be a number, as 'year'"),
        (Rules(freshness=Freshness("day", 1, 1, now=3)), "now must be a date as text, as 'day'"),
        (Rules(boosts=[Boost({"none": {"low": 1}}, 1)]), "no feature 'none'"),
        (
            Rules(caps=[Cap("genres", 1)], pins=[Pin("a", 1), Pin("d", 2)]),
            "pins: 2 of the pinned items have the same value",
        ),
    ],
)
def test_what_does_not_fit_the_catalog_is_refused(rules, said):
    with pytest.raises(ConfigError, match=said.replace("|", r"\|")):
        resolve_rules(rules, CATALOG)


def test_ids_and_numbers_of_rules_are_taken_by_their_value():
    assert Pin(318, np.int64(2)) == Pin(318.0, 2) == Pin(np.int32(318), 2) == Pin("318", 2)
    assert Cap("genres", np.int64(2)) == Cap("genres", 2)
    assert Freshness("year", np.float32(10), np.int64(1)) == Freshness("year", 10, 1)
    with pytest.raises(ConfigError, match="two of the item '318'"):
        Rules(pins=[Pin(318, 1), Pin("318", 2)])


def test_no_title_is_suggested_for_a_number():
    films = Catalog(pl.DataFrame({"item": ["1", "2"], "title": ["U-571 (2000)", "Heat"], "count": [2, 1]}))
    with pytest.raises(UnknownItemError, match=r"not in the catalog of 2 items: '-5'$"):
        resolve_rules(Rules(pins=[Pin(-5, 1)]), films)
    with pytest.raises(UnknownItemError, match=r"'heat'; did you mean 'Heat'\?"):
        films.indices(["heat"])


def test_pins_are_items_of_the_catalog():
    with pytest.raises(UnknownItemError, match="not in the catalog of 5 items: 'q'"):
        resolve_rules(Rules(pins=[Pin("q", 1)]), CATALOG)
    resolved = resolve_rules(STATED, CATALOG)
    assert resolved.names == ("boost 1", "freshness", "diversity", "cap genres", "pins")
    assert resolved.forced.tolist() == [1]
    with pytest.raises(ConfigError, match="no position 2 in a list of at most 1 items"):
        resolved.check_length(1)

"""The table of figures in CONTRIBUTING.md, and the limits among them."""

from tests.rules import figures


def test_the_table_is_that_of_the_source():
    text = figures.CONTRIBUTING.read_text(encoding="utf-8")
    kept = text.split(figures.BEGIN)[1].split(figures.END)[0]
    assert kept == figures.table(), "run `python -m tests.rules.figures`"


def test_no_caller_asks_for_the_class_of_a_model():
    assert figures.isinstance_on_models() == []


def test_no_function_of_the_service_is_long_and_elsewhere_each_has_its_reason():
    long = figures.long_functions()
    assert not [name for name in long if name.startswith("serve/")]
    assert set(long) == set(figures.LONG)

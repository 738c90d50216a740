"""What `help` shows of a configuration."""

import dataclasses
import re
import typing
from importlib import import_module

import pytest

import foldin
from foldin.models import MODELS
from foldin.training import options_of


def every_option(config):
    """Classes of the options of a configuration, those inside of options included."""
    kinds = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        for option in options_of(kinds[field.name]).values():
            yield option
            yield from every_option(option)


@pytest.mark.parametrize("name", MODELS)
def test_every_option_is_named_as_it_is_imported_and_shows_its_settings(name):
    text = MODELS[name].__doc__
    paths = re.findall(r"^ +\* (foldin\.\w+)\.(\w+): ", text, flags=re.M)
    assert {getattr(import_module(module), option) for module, option in paths} == set(every_option(MODELS[name]))
    for option in every_option(MODELS[name]):
        for field in dataclasses.fields(option):
            assert re.search(rf"^ +\* {field.name}: ", text, flags=re.M), (option, field.name)


def test_the_ranges_of_options_are_those_that_a_search_draws_from():
    text = " ".join(foldin.RecVAE.__doc__.split())
    assert "* foldin.models.KLPerItem: A weight of γ for each item of a user. * gamma:" in text
    assert "(default 0.005; ≥ 0; searched 0.0005:0.05:log)" in text
    lines = foldin.RecVAE.__doc__.splitlines()
    at = next(i for i, line in enumerate(lines) if "* foldin.models.KLPerItem" in line)
    assert lines[at].startswith(" " * 8 + "* ")
    assert max(map(len, lines[lines.index("Args:") :])) <= 115
    assert "\n\n\n" not in foldin.SASRec.__doc__.split("Example:")[0].split("Args:")[1].rstrip()

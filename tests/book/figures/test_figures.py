"""Every figure to move: complete in both languages, in its chapter, with numbers for all that its controls can be set to."""

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from foldin.book import FIGURES, chapters, figures
from foldin.book.films import FILMS
from foldin.serve.studio.book import OF_CHAPTER
from tests.book.figures.running import NODE, computed, needs_node

BOOK = Path(__file__).parents[3] / "docs" / "book"
_DESCRIBE = """
const found = {};
for (const path of process.argv.slice(1)) {
  const one = await import(path);
  const kinds = (value) => (typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, kinds(each)]))
    : Array.isArray(value) ? `list of ${value.length}` : typeof value);
  found[one.name] = { path, parameters: one.parameters, words: { en: kinds(one.words.en), ko: kinds(one.words.ko) },
    right: one.right, choices: one.words.en.choices?.length, film: one.film ?? null, filmParameters: one.filmParameters ?? [],
    draws: typeof one.draw, labels: one.parameters.map((each) => typeof one.words.en[each.name]) };
}
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    paths = [str(FIGURES / f"{name}.js") for name in figures()]
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", _DESCRIBE, "--", *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def versions(parameters: list[dict[str, Any]]):
    """The start, and every combination of the ends of the sliders and of the choices."""
    ends = []
    for one in parameters:
        if "options" in one:
            ends.append(one["options"])
        elif isinstance(one["start"], list):
            ends.append([one["start"], [0] * len(one["start"])])
        else:
            ends.append([one["min"], one["max"]])
    yield {}
    for values in itertools.islice(itertools.product(*ends), 64):
        yield {one["name"]: value for one, value in zip(parameters, values, strict=True)}


def film_of(one: dict[str, Any], given: dict[str, Any]) -> Any:
    if one["film"] is None:
        return None
    start = {each["name"]: each["start"] for each in one["parameters"]}
    key = ",".join(f"{name}={given.get(name, start[name])}" for name in one["filmParameters"])
    return json.loads((FIGURES / "films" / f"{one['film']}.json").read_text(encoding="utf-8"))[key]


@needs_node
def test_a_figure_is_called_as_its_file_and_complete_in_both_languages(described):
    assert sorted(described) == figures()
    for name, one in described.items():
        assert one["draws"] == "function"
        assert one["words"]["en"] == one["words"]["ko"], name  # the same keys, kinds and lengths
        assert {"title", "question", "choices", "because", "describe"} <= one["words"]["en"].keys(), name
        assert 0 <= one["right"] < one["choices"], name
        assert set(one["labels"]) == {"string"}, name


@needs_node
def test_a_film_has_every_version_that_its_figure_can_ask_for(described):
    for name, one in described.items():
        if one["film"] is not None:
            kept = json.loads((FIGURES / "films" / f"{one['film']}.json").read_text(encoding="utf-8"))
            assert list(FILMS[one["film"]].choices) == one["filmParameters"], name
            wanted = [",".join(f"{k}={v}" for k, v in version.items()) for version in FILMS[one["film"]].versions()]
            assert list(kept) == wanted, "run `python docs/book/write_films.py`"
    assert {one["film"] for one in described.values()} - {None} == FILMS.keys()


@needs_node
@pytest.mark.parametrize("name", figures())
def test_every_number_is_finite_at_the_ends_of_all_controls(described, name):
    one = described[name]
    script = "; ".join(
        [
            f"const figure = await import({json.dumps(one['path'])})",
            "const start = Object.fromEntries(figure.parameters.map((each) => [each.name, each.start]))",
            "const asked = JSON.parse((await import('node:fs')).readFileSync(0, 'utf8'))",
            # JSON has no NaN or infinity: they would become null.
            "const bad = (value) => (typeof value === 'number' ? !Number.isFinite(value) : typeof value === 'object' "
            "&& value !== null ? Object.values(value).some(bad) : false)",
            "console.log(JSON.stringify(asked.map(([given, film]) => bad(figure.compute({ ...start, ...given }, film)))))",
        ]
    )
    asked = [[given, film_of(one, given)] for given in versions(one["parameters"])]
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bad = [given for (given, _), wrong in zip(asked, json.loads(done.stdout), strict=True) if wrong]
    assert not bad


@pytest.mark.parametrize("name", chapters())
def test_a_chapter_has_its_figures_in_both_languages(name):
    for language in ("en", "ko"):
        text = (BOOK / language / f"{name}.md").read_text(encoding="utf-8")
        assert tuple(re.findall(r"^:::\{moving\} (\S+)$", text, re.M)) == OF_CHAPTER[name]


def test_every_figure_is_in_a_chapter():
    assert sorted(name for names in OF_CHAPTER.values() for name in names) == figures()


@needs_node
def test_computing_is_a_function_of_the_parameters_alone():
    assert computed("gaussian-kl", {"mu": 1.0}) == computed("gaussian-kl", {"mu": 1.0})

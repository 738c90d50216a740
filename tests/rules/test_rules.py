"""Rules of the house, read from the source with `ast`."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "foldin"
FILES = sorted(SOURCE.rglob("*.py"))
# From the ground up; rooms on one line may know each other as long as there is no circle.
LAYERS = [
    {"display", "errors", "files", "formulas", "memory", "rows", "tensors", "transfers", "workers"},
    {"probability"},
    {"inference", "data", "kernels"},
    {"nn", "diffusion"},
    {"training"},
    {"generative"},
    {"models"},
    {"ranking"},
    {"evaluation", "runs"},
    {"reports"},
    {"book", "client", "experiment", "sklearn", "testing"},
    {"cluster"},
    {"serve"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imports(path: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def inner(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("foldin.")}


def upward(room_: str, imported: set[str]) -> set[str]:
    return {other for other in imported if LEVEL[other] > LEVEL[room_]}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down_only(path):
    if path == SOURCE / "__init__.py":
        return
    assert not upward(room(path), inner(path))


def test_the_client_knows_the_service_by_http_alone():
    assert {other for path in FILES if room(path) == "client" for other in inner(path)} == {"client", "errors"}


def test_the_rule_sees_an_upward_import():
    assert upward("data", {"errors", "models"}) == {"models"}


def test_rooms_of_one_layer_form_no_circle():
    edges = {(room(p), other) for p in FILES if p.parent != SOURCE or p.name != "__init__.py" for other in inner(p)}
    edges = {(a, b) for a, b in edges if a != b}
    assert not {(a, b) for a, b in edges if (b, a) in edges}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_are_short_have_a_docstring_and_never_unpickle(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 310
    assert path.name != "utils.py"
    assert ast.get_docstring(ast.parse(text))
    assert not imports(path) & {"pickle", "dill", "joblib", "shelve", "marshal"}
    assert not re.search(r"\btorch\.(load|save)\(|\beval\(|\bexec\(|allow_pickle=True", text)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_public_names_are_listed_and_exist(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = set()
    listed = None
    lazily = (one for node in tree.body if isinstance(node, ast.If) for one in node.body)  # for type checkers alone
    for node in (*tree.body, *lazily):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and getattr(target, "id", "") == "__all__":
            listed = {element.value for element in node.value.elts}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            defined.add(getattr(target, "id", ""))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            defined |= {alias.asname or alias.name for alias in node.names}
    assert listed is not None
    assert listed <= defined


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_randomness_is_passed_in_never_global(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(
        r"(?<!Generator\(\))\btorch\.manual_seed\(|np\.random\.(seed|rand|randn|randint|choice|permutation)\(", text
    )


def test_the_text_of_the_repository_has_no_private_paths():
    for path in [*FILES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile"]:
        text = path.read_text(encoding="utf-8")
        for private in (str(ROOT), str(Path.home())):
            assert private not in text, (path, private)


def test_tests_do_not_reach_into_models():
    inside = re.compile(
        r"\b(?:model|loaded|whole|other|grown|resumed)\._(?!_|repr_html_)\w+|\.model\._(?!_|repr_html_)\w+"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in (ROOT / "tests").rglob("*.py")
        for match in inside.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found

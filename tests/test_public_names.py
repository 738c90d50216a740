"""The top level: its names are those that type checkers read, and are imported at their first use."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import foldin

SOURCE = ast.parse(Path(foldin.__file__).read_text(encoding="utf-8"))
SHOWN = {
    alias.asname or alias.name: (node.module, alias.name)
    for block in SOURCE.body
    if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
    for node in block.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}


def test_every_public_name_is_shown_to_type_checkers():
    assert set(SHOWN) | {"__version__"} == set(foldin.__all__)
    assert set(foldin.__all__) <= set(dir(foldin))


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_is_what_type_checkers_take_it_for(name):
    module, origin = SHOWN[name]
    assert getattr(foldin, name) is getattr(import_module(module), origin)


def test_packages_are_attributes_and_other_names_are_not():
    code = "import foldin, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "False False\n"
    assert foldin.ranking.rank is foldin.rank
    assert foldin.probability is import_module("foldin.probability")
    for name in ("nonesuch", "import", "_private", "MultVAEConfig"):
        with pytest.raises(AttributeError, match=f"module 'foldin' has no attribute '{name}'"):
            getattr(foldin, name)

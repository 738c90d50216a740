"""The definitions that a script can reach, by name: a function, the head of a class, a method, an assignment of a module.

A name is followed to the module that defines it. Of a class that is reached, a method is reached if an attribute of its name is
used anywhere in what is reached; if a base is of another package, or the method has a decorator that may register it, always.
Python calls some things by names that are nowhere spelled (`getattr`), so that texts that could be names count as attributes.
Annotations of functions are not followed: an object comes from where its class is spelled otherwise.
"""

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from definitions import Definition, Function, Module, imports_of, last_name

__all__ = ["reached"]

_HARMLESS = {
    "Protocol",
    "Generic",
    "ABC",
    "Enum",
    "StrEnum",
    "IntEnum",
    "NamedTuple",
    "TypedDict",
    "Mapping",
    "Sequence",
}


@dataclass(eq=False)
class _Walk:
    """The state of a search: what is reached, and which attributes are used."""

    root: dict[str, Path]  # first part of a module's name → folder that holds it
    idle: dict[Path, frozenset[str]]
    left_out: tuple[Path, ...]
    found: dict[Path, set[str]] = field(default_factory=lambda: defaultdict(set))
    attributes: set[str] = field(default_factory=set)
    modules: dict[Path, Module] = field(default_factory=dict)
    pending: dict[str, list[tuple[Path, Definition]]] = field(default_factory=lambda: defaultdict(list))
    waiting: list[tuple[Path, Definition]] = field(default_factory=list)

    def module(self, path: Path) -> Module:
        if path not in self.modules:
            self.modules[path] = Module(path.read_text(encoding="utf-8"), self.idle.get(path, frozenset()))
        return self.modules[path]

    def file(self, name: str) -> Path | None:
        """The file of a module that is ours."""
        folder = self.root.get(name.partition(".")[0])
        if folder is None:
            return None
        path = folder.joinpath(*name.split("."))
        return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)

    def reach(self, path: Path, name: str) -> None:
        """Reach a name of a file: its definition here, or where it is imported from."""
        if any(path.is_relative_to(one) for one in self.left_out):
            return
        module = self.module(path)
        if "" not in self.found[path]:
            self._take(path, module.definitions[""])
        if name in module.definitions:
            self._take(path, module.definitions[name])
        elif name in module.imports:
            self.follow(*module.imports[name])

    def follow(self, origin: str, name: str | None) -> None:
        """Reach what an import names; of a module itself, its names are reached where they are used."""
        file = self.file(origin)
        if file is None or name is None:
            return
        module = self.module(file)  # a package may have a name that is also the name of a module in it
        if name in module.definitions or name in module.imports or self.file(f"{origin}.{name}") is None:
            self.reach(file, name)

    def _take(self, path: Path, one: Definition) -> None:
        if one.name in self.found[path]:
            return
        self.found[path].add(one.name)
        self.waiting.append((path, one))
        node = self.module(path).classes.get(one.name)
        if node is not None:
            self._take_methods(path, node)

    def _take_methods(self, path: Path, node: ast.ClassDef) -> None:
        module = self.module(path)
        foreign = any(self._is_foreign(path, base) for base in node.bases)
        for name, method in module.methods(node.name).items():
            if (
                foreign
                or method.annotated
                or name in self.attributes
                or (name.startswith("__") and name.endswith("__"))
            ):
                self._take(path, method)
            else:
                self.pending[name].append((path, method))
        for other in module.classes.values():
            if node.name in _given(other):
                self._take(path, module.definitions[other.name])

    def _is_foreign(self, path: Path, base: ast.expr) -> bool:
        """Whether a base, or a base of it, is a class of another package, which may call any method."""
        name, module = last_name(base), self.module(path)
        if name in module.classes:
            return any(self._is_foreign(path, one) for one in module.classes[name].bases)
        if name in _HARMLESS or hasattr(builtins, name) or name in module.definitions:
            return False
        origin, there = module.imports.get(name, ("", None))
        found = self.defined(origin, there)
        if found is None:
            return True
        return any(self._is_foreign(found[0], one) for one in found[1].bases)

    def defined(self, origin: str, name: str | None) -> tuple[Path, ast.ClassDef] | None:
        """The class that an import names, and its file; None if it is not ours."""
        path = self.file(origin)
        if path is None or name is None:
            return None
        module = self.module(path)
        if name in module.classes:
            return path, module.classes[name]
        return self.defined(*module.imports[name]) if name in module.imports else None

    def use(self, names: Iterable[str]) -> None:
        """Note attributes that are used; methods of these names are reached."""
        for name in set(names) - self.attributes:
            self.attributes.add(name)
            for path, method in self.pending.pop(name, []):
                self._take(path, method)

    def read(self, path: Path, one: Definition) -> None:
        """Reach everything that the code of a definition names."""
        imports = {**self.module(path).imports, **dict(pair for node in one.nodes for pair in imports_of(node))}
        for node in (found for top in one.nodes for found in _walk(top, annotations=one.annotated)):
            if isinstance(node, ast.Name):
                if node.id in imports and node.id not in self.module(path).definitions:
                    self.follow(*imports[node.id])
                else:
                    self.reach(path, node.id)
            elif isinstance(node, ast.Attribute):
                self.use([node.attr])
                origin = self._origin(node.value, imports)
                if origin is not None:
                    self.follow(origin, node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                self.use([node.value])

    def _origin(self, node: ast.expr, imports: dict[str, tuple[str, str | None]]) -> str | None:
        """The module of ours that an expression names, as in `foldin.models.EASE`."""
        if isinstance(node, ast.Name) and node.id in imports:
            origin, name = imports[node.id]
            if name is None:
                return origin if self.file(origin) is not None else None
            package = self.file(origin)
            own = package is not None and name in self.module(package).imports
            return None if own or self.file(f"{origin}.{name}") is None else f"{origin}.{name}"
        if isinstance(node, ast.Attribute):
            before = self._origin(node.value, imports)
            full = f"{before}.{node.attr}"
            return full if before is not None and self.file(full) is not None else None
        return None


def _given(node: ast.ClassDef) -> set[str]:
    """The names that a class is given, by which another class may know it: `Recommender[MultVAEConfig]`."""
    inside = [base.slice for base in node.bases if isinstance(base, ast.Subscript)] + [
        one.value for one in node.keywords
    ]
    inside += [one.value for one in node.body if isinstance(one, ast.Assign) and isinstance(one.value, ast.Name)]
    return {one.id for part in inside for one in ast.walk(part) if isinstance(one, ast.Name)}


def _walk(node: ast.AST, *, annotations: bool) -> Iterator[ast.AST]:
    """A node and all inside it, without the annotations of functions."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        for name, value in ast.iter_fields(one):
            if not annotations and (
                (isinstance(one, ast.arg) and name == "annotation")
                or (isinstance(one, Function) and name == "returns")
                or (isinstance(one, ast.AnnAssign) and name == "annotation")
            ):
                continue
            waiting += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, ast.AST)]


def reached(
    scripts: Iterable[Path],
    whole: Iterable[Path] = (),
    *,
    root: dict[str, Path],
    idle: dict[Path, frozenset[str]] | None = None,
    left_out: Iterable[Path] = (),
) -> tuple[dict[Path, set[str]], set[str]]:
    """(file → names of the definitions that are reached, names of the attributes that are used).

    Args:
        scripts: files that are reached whole.
        whole: further files that are reached whole, such as modules that are started in a process of their own.
        root: first part of a module's name → folder that holds it.
        idle: file → names of classes whose entries in its dictionaries are not followed.
        left_out: files and folders that are not entered.
    """
    walk = _Walk(root, idle or {}, tuple(left_out))
    for path in (*scripts, *whole):
        for name in list(walk.module(path).definitions):
            walk.reach(path, name)
    while walk.waiting:
        walk.read(*walk.waiting.pop())
    return {path: names for path, names in walk.found.items() if names}, walk.attributes

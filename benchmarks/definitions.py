"""The definitions of a module: functions, heads of classes, methods and assignments, each with its code."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Definition", "Function", "Module", "imports_of", "last_name", "normalized"]

_PLAIN = {
    "property",
    "cached_property",
    "staticmethod",
    "classmethod",
    "abstractmethod",
    "override",
    "cache",
    "lru_cache",
}
_PLAIN |= {"no_grad", "inference_mode", "wraps", "contextmanager", "setter"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def normalized(tree: ast.Module) -> ast.Module:
    """A tree without docstrings, messages of errors, and help and search ranges of settings; it is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting":
            node.args = node.args[:1]
            node.keywords = [one for one in node.keywords if one.arg != "range"]
    return tree


@dataclass(eq=False)
class Definition:
    """A definition, or all statements of a module that are none (`name` is then "").

    Args:
        name: as in `Recommender.logits`; of a class, its bases, decorators and statements that are no methods.
        nodes: its code.
        annotated: whether annotations of functions are followed too.
    """

    name: str
    nodes: list[ast.AST]
    annotated: bool = False


@dataclass(eq=False)
class Module:
    """The definitions of a module.

    Args:
        text: its source.
        idle: names of classes whose entries in a dictionary are left out.
    """

    text: str
    idle: frozenset[str] = frozenset()
    definitions: dict[str, Definition] = field(init=False, default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(init=False, default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(init=False, default_factory=dict)
    _codes: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        tree = normalized(ast.parse(self.text))
        self.imports = dict(imports_of(tree))
        rest: list[ast.AST] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict) and self.idle:
                pairs = [(key, one) for key, one in zip(node.keys, node.values, strict=True) if not self._is_idle(one)]
                node.keys, node.values = [key for key, _ in pairs], [one for _, one in pairs]
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, Function):
                self.definitions[node.name] = Definition(node.name, [node], bool(node.decorator_list))
            elif isinstance(node, ast.ClassDef):
                self._take_class(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and (names := _targets(node)):
                if names != ["__all__"]:
                    self.definitions |= {name: Definition(name, [node]) for name in names}
            elif not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
                rest.append(node)
        self.definitions[""] = Definition("", rest)

    def _is_idle(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self.idle

    def _take_class(self, node: ast.ClassDef) -> None:
        self.classes[node.name] = node
        body = [one for one in node.body if not isinstance(one, Function)]
        head = ast.ClassDef(node.name, node.bases, node.keywords, body, node.decorator_list)
        self.definitions[node.name] = Definition(node.name, [head], annotated=True)
        for one in node.body:
            if isinstance(one, Function):
                name = f"{node.name}.{one.name}"
                found = self.definitions.setdefault(name, Definition(name, [], _registers(one)))
                found.nodes.append(one)  # a property and its setter have one name

    def code(self, name: str) -> str:
        """The code of a definition in a form that comments and layout do not change."""
        if name not in self._codes:
            self._codes[name] = "\n".join(ast.dump(one) for one in self.definitions[name].nodes)
        return self._codes[name]

    def methods(self, name: str) -> dict[str, Definition]:
        """The methods of a class, by their own names."""
        start = f"{name}."
        return {one[len(start) :]: found for one, found in self.definitions.items() if one.startswith(start)}


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    """The names that an assignment gives; none if it gives anything else, such as an attribute."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    flat = [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return (
        [one.id for one in flat if isinstance(one, ast.Name)] if all(isinstance(one, ast.Name) for one in flat) else []
    )


def imports_of(tree: ast.AST) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """(name here, (module, name there or None for the module itself)) of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((one.asname or one.name, (node.module, one.name)) for one in node.names)
        elif isinstance(node, ast.Import):
            for one in node.names:
                yield (
                    (one.asname, (one.name, None))
                    if one.asname
                    else (one.name.split(".")[0], (one.name.split(".")[0], None))
                )


def _registers(node: Function) -> bool:
    """Whether a decorator may do something with a function beyond wrapping it."""
    names = [last_name(one) for one in node.decorator_list]
    return any(name not in _PLAIN for name in names)


def last_name(node: ast.AST) -> str:
    """The last part of a dotted name, without the arguments of a call or of a subscript."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")

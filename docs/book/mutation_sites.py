"""The places of a function that a mutant may change, and the changed function."""

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["changed", "sites"]

SWAPS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
NAMES = {"sum": "mean", "mean": "sum", "min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin"}
NAMES |= {"amin": "amax", "amax": "amin", "cumsum": "cumprod", "minimum": "maximum", "maximum": "minimum"}
# Calls whose arguments choose data or numerics, not what an equation says; and keyword arguments of that kind.
DATA = {
    *(
        "default_rng",
        "manual_seed",
        "Generator",
        "linspace",
        "arange",
        "range",
        "logspace",
        "geomspace",
        "full",
        "zeros",
    ),
    *("ones", "eye", "print", "raises", "approx", "randn", "rand", "randint", "standard_normal", "uniform", "integers"),
    *("dirichlet", "choice", "permutation", "poisson", "binomial", "multinomial", "gamma", "beta", "rvs", "sample"),
    *("draws", "minimize", "fit", "isclose", "ConfigError", "ShapeError", "DataError", "shuffled"),
}
NUMERICS = {
    *(
        "atol",
        "rtol",
        "rel",
        "abs",
        "seed",
        "steps",
        "draws",
        "size",
        "epochs",
        "maxiter",
        "tol",
        "generator",
        "errors",
    ),
    *(
        "batch_size",
        "learning_rate",
        "x0",
        "bounds",
        "method",
        "limit",
        "delta",
        "final_draws",
        "tolerance",
        "n_iterations",
    ),
}


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_threshold(node: ast.AST) -> bool:
    """Whether a side of a comparison is a bare number, or a tolerance times something."""
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return "tolerance" in names or not any(isinstance(one, ast.Call | ast.Subscript) for one in ast.walk(node))


def _left_alone(node: ast.AST) -> list[ast.AST]:
    """Children that no mutant changes: data, tolerances, refusals of bad arguments, annotations."""
    if isinstance(node, ast.Call):
        data = _called(node) in DATA
        return [*(node.args if data else []), *(one for one in node.keywords if data or one.arg in NUMERICS)]
    if (
        isinstance(node, ast.Compare)
        and len(node.ops) == 1
        and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    ):
        left = node.left
        absolute = isinstance(left, ast.Call) and _called(left) in ("abs", "max", "norm", "amax")
        return [one for one in (left, *node.comparators) if _is_threshold(one)] + (node.comparators if absolute else [])
    if isinstance(node, ast.Slice) and node.step is not None:  # every so many points of a grid: a choice of data
        return list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and all(isinstance(one, ast.Raise) for one in node.body):
        return [node.test, *node.body]
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.AnnAssign):
        return [node.annotation] if isinstance(node, ast.AnnAssign) else list(ast.iter_child_nodes(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.args, *node.decorator_list, *([node.returns] if node.returns else [])]
    return []


def _number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """`ast.walk` without what no mutant changes."""
    alone = {id(one) for one in _left_alone(node)}
    yield node
    for one in ast.iter_child_nodes(node):
        if id(one) not in alone:
            yield from _walked(one)


def _changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Ways to change a node in place."""

    def put(one: Any, name: str, value: Any) -> Callable[[], None]:
        return lambda: setattr(one, name, value)

    if isinstance(node, ast.BinOp):
        if type(node.op) in SWAPS:
            yield put(node, "op", SWAPS[type(node.op)]())
        for side in (node.left, node.right):
            if _number(side):
                value = side.value
                yield put(
                    side,
                    "value",
                    value + 1 if isinstance(node.op, ast.Add | ast.Sub | ast.Pow) or value == 0 else 2 * value,
                )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not _number(node.operand):
        yield put(node, "op", ast.UAdd())
    elif isinstance(node, ast.Subscript):
        for one in _walked(node.slice):
            if _number(one):
                yield put(one, "value", one.value + 1)
    elif isinstance(node, ast.keyword) and node.arg in ("axis", "dim") and _number(node.value):
        yield put(node.value, "value", 1 if node.value.value == 0 else 0)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMES:
        yield put(node.func, "attr", NAMES[node.func.attr])


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, Callable[[], None]]]:
    """Every (expression around it, change) of a function, in a fixed order."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        for change in _changes(node):
            yield node, change
        alone = {id(one) for one in _left_alone(node)}
        waiting += [one for one in ast.iter_child_nodes(node) if id(one) not in alone]


def changed(function: ast.FunctionDef, place: int) -> tuple[ast.FunctionDef, str]:
    """(a copy of a function with the change of a place, what that is in words)."""
    made = copy.deepcopy(function)
    node, change = list(sites(made))[place]
    shown = node.value if isinstance(node, ast.keyword) else node
    before = ast.unparse(node if isinstance(node, ast.keyword) else shown)
    change()
    return made, f"{before}  →  {ast.unparse(node)}"

"""Write docs/reference/http.md from the service's own description of its interface."""

import inspect
import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app

TARGET = Path(__file__).parent / "reference" / "http.md"
_HEAD = """# HTTP

Written by `make docs` from the description that the service gives of itself at `/openapi.json`; a test fails when it is stale.
Requests and responses are JSON; a request that is refused gets a [`Problem`](#problem): `{"error": …, "request_id": …}`, whose
`error` says in one line what is wrong and where. A key is sent as `Authorization: Bearer KEY`; it needs one of the scopes that a
request names, of `read`, `write` and `admin`.
"""


def text() -> str:
    """The page."""
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{folder}/events.db")
        app = make_app(Service(Registry(), EventStore(engine), Limits(), Telemetry()), None)
        found, needed = app.openapi(), scopes(app)
        engine.dispose()
    parts = [_HEAD]
    for path, methods in found["paths"].items():
        if path.startswith("/studio") or path == "/":
            continue
        for method, about in methods.items():
            parts.append(_operation(path, method, about, needed[path, method]))
    parts.append("## Objects\n")
    parts += [_object(name, about) for name, about in sorted(found["components"]["schemas"].items())]
    return "\n".join(parts)


def scopes(app: FastAPI) -> dict[tuple[str, str], tuple[str, ...]]:
    """The scopes of which a key needs one, by the path and the method of a request; none for a request that needs no key."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for context in iter_route_contexts(app.routes):
        route: Any = context.original_route
        if not isinstance(route, APIRoute):
            continue
        # `Access.needs` makes a check of its scopes; a bare route calls it itself.
        calls = [one.call for one in context.dependant.dependencies]
        calls += inspect.getclosurevars(route.endpoint).nonlocals.values()
        checks = [inspect.getclosurevars(one).nonlocals for one in calls if inspect.isfunction(one)]
        needed = next((one["scopes"] for one in checks if "scopes" in one), ())
        found |= {(context.path_format, method.lower()): needed for method in route.methods}
    return found


def _operation(path: str, method: str, about: dict[str, Any], needed: tuple[str, ...]) -> str:
    lines = [f"## `{method.upper()} {path}`\n", (about.get("description") or about["summary"]).strip() + "\n"]
    lines.append(f"Scope: {' or '.join(f'`{one}`' for one in needed) or 'none, and no key'}.\n")
    rows = [
        (f"`{one['name']}`", one["in"], _type(one["schema"]), _cell(one.get("description", "")))
        for one in about.get("parameters", ())
    ]
    if rows:
        lines.append(_table(("parameter", "in", "type", ""), rows))
    if "requestBody" in about:
        other = [f"`{media}`" for media in list(about["requestBody"]["content"])[1:]]
        lines.append(f"Request: {' or '.join([_type(_json(about['requestBody'])), *other])}.\n")
    for status, answer in about["responses"].items():
        if status.startswith("2") and answer.get("content"):
            lines.append(f"Response {status}: {_type(_json(answer))}.\n")
    return "\n".join(lines)


def _json(about: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = about["content"]
    schema: dict[str, Any] = next(iter(content.values())).get("schema", {})
    return schema


def _object(name: str, about: dict[str, Any]) -> str:
    required = set(about.get("required", ()))
    rows = [
        (
            f"`{field}`",
            _type(one),
            "required" if field in required else _default(one),
            _cell(one.get("description", "")),
        )
        for field, one in about.get("properties", {}).items()
    ]
    meaning = f"{about['description'].strip()}\n\n" if "description" in about else ""
    return (
        f"### `{name}`\n\n{meaning}{_table(('field', 'type', 'default', ''), rows) if rows else _type(about) + chr(10)}"
    )


def _default(one: dict[str, Any]) -> str:
    return f"`{one['default']!r}`".replace("None", "null") if "default" in one else ""


def _type(one: dict[str, Any]) -> str:
    """A type in words, with links to the objects."""
    if "$ref" in one:
        name = one["$ref"].rsplit("/", 1)[-1]
        return f"[`{name}`](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in one:
            return " or ".join(dict.fromkeys(_type(each) for each in one[several]))
    if "enum" in one:
        return " or ".join(f"`{value}`" for value in one["enum"])
    if "const" in one:
        return f"`{one['const']}`"
    if one.get("type") == "array":
        return f"array of {_type(one.get('items', {}))}"
    if one.get("type") == "object" and isinstance(one.get("additionalProperties"), dict):
        return f"object of {_type(one['additionalProperties'])}"
    return str(one.get("type", "any"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")

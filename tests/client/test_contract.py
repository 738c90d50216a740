"""The client knows the interface that the service describes: its routes, their parameters, and the fields of its schemas."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest

from foldin.client import answers, experiments, items, models, requests, rules, studio
from foldin.client.experiment_routes import __all__ as EXPERIMENT_ROUTES
from foldin.client.item_routes import __all__ as ITEM_ROUTES
from foldin.client.model_routes import __all__ as MODEL_ROUTES
from foldin.client.reading import Calls
from foldin.client.routes import __all__ as ROUTES
from foldin.client.studio_routes import __all__ as STUDIO_ROUTES
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from tests.client.test_client import METHODS

ALL = (*ROUTES, *EXPERIMENT_ROUTES, *ITEM_ROUTES, *MODEL_ROUTES, *STUDIO_ROUTES)
SAMPLES: dict[str, dict[str, Any]] = {  # arguments with which a call has every parameter
    "recommend": {},
    "recommend_many": {"requests": []},
    "add_event": {"user": "u", "item": "i"},
    "add_events": {"events": [requests.Event("u", "i")]},
    "user": {"user": "u"},
    "erase_user": {"user": "u"},
    "similar": {"item": "i"},
    "deploy": {"run": "r"},
    "split": {"shares": {}},
    **{name: {"name": "m"} for name in ("roll_back", "make_default", "retire", "report", "codes", "item_map")},
    "user_on_map": {"name": "m", "history": []},
    "experiment": {"experiment_id": 1},
    "item": {"item": "i"},
    "put_item": {"item": "i"},
    "put_items": {"items": []},
    "list_for_all": {"name": "popular"},
}
SCHEMAS = {  # class → name of its schema, where it has another one
    answers.StoredEvent: "EventOut",
    answers.StoredUser: "UserOut",
    answers.ErasedUser: "UserErased",
    answers.Item: "ItemOut",
    models.ServedModel: "ModelOut",
    models.ModelDeployment: "DeploymentOut",
    models.Models: "ModelsOut",
    models.Change: "ChangeOut",
    models.Drift: "DriftOut",
    models.Likelihood: "LikelihoodOut",
    experiments.LoggedList: "ImpressionOut",
    experiments.Experiment: "ExperimentOut",
    experiments.ExperimentArm: "ArmOut",
    experiments.Look: "LookOut",
    experiments.ArmDifference: "DifferenceOut",
    experiments.ExperimentOutcome: "ExperimentOutcomeOut",
    studio.EquationTerm: "EquationTermOut",
    studio.Equation: "EquationOut",
    studio.Report: "ReportOut",
    studio.ItemMap: "MapOut",
    studio.Component: "ComponentOut",
    studio.Chapter: "ChapterOut",
    studio.Book: "BookOut",
    requests.Event: "EventIn",
    items.ItemChange: "ItemIn",
    items.ItemList: "ListOut",
    items.ListedItem: "ListedItemOut",
}
ANSWERS = [
    getattr(part, name)
    for part in (answers, experiments, items, models, studio)
    for name in part.__all__
    if name not in ("Readiness", "ItemChange")
]  # the service describes no schema of its readiness; a change is a request
RULES = [getattr(rules, name) for name in rules.__all__]
INSIDE = {
    "BatchRecommendRequest",
    "BatchRecommendations",
    "EventBatch",
    "ItemsOut",
    "ItemBatch",
    "ChangesOut",
    "DriftsOut",
    "ExperimentsOut",
}  # objects of one list
INSIDE |= {"DeployRequest", "SplitRequest", "HistoryRequest", "ItemFields"}  # arguments of a method
INSIDE |= {"Problem", "HTTPValidationError", "ValidationError"}


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> dict[str, Any]:
    store = EventStore(connect(f"sqlite:///{tmp_path_factory.mktemp('described') / 'events.db'}"))
    return make_app(Service(Registry(), store, Limits(), Telemetry()), None).openapi()


def call_of(name: str) -> Any:
    if name == "film":
        return METHODS[name]("f")
    found = METHODS[name](**SAMPLES.get(name, {}))
    return next(iter(found.calls)) if isinstance(found, Calls) else found


def test_every_route_is_called_and_no_other(described):
    served = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    called = {(call.method, call.route) for call in map(call_of, ALL)}
    assert called == served, (
        "a route needs a function in foldin/client/routes.py or beside it, and a line in both clients"
    )


@pytest.mark.parametrize("name", ALL)
def test_the_parameters_of_a_call_are_those_of_its_route(described, name):
    call = call_of(name)
    about = described["paths"][call.route][call.method.lower()]
    found = {(one["in"], one["name"].lower()) for one in about.get("parameters", ())}
    sent = {("path", key) for key in call.values} | {("query", key) for key in call.query}
    assert sent | {("header", key) for key in call.headers} == found
    assert (call.content is not None) == ("requestBody" in about)


def described_type(schema: dict[str, Any]) -> Any:
    """A type of the description: a name, or what it consists of."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in schema:
        parts = [described_type(one) for one in schema["anyOf"]]
        return ("or null", *(one for one in parts if one != "null")) if "null" in parts else ("any of", *parts)
    if "prefixItems" in schema:
        return ("tuple", *map(described_type, schema["prefixItems"]))
    if schema.get("type") == "array":
        return ("array", described_type(schema["items"]))
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties", True)
        return ("object", "any" if inner is True else described_type(inner))
    return schema.get("type", "any")


PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null", Any: "any"}


def type_of(kind: Any) -> Any:
    """The same of a type of the client."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return SCHEMAS.get(kind, kind.__name__)
    if origin is tuple and Ellipsis in inner:
        return ("array", type_of(inner[0]))
    if origin is tuple:
        return ("tuple", *map(type_of, inner))
    if origin is Mapping:
        return ("object", type_of(inner[1]))
    if origin in (types.UnionType, typing.Union):
        return ("or null", *(type_of(one) for one in inner if one is not types.NoneType))
    return PLAIN[kind]


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_an_answer_has_the_fields_and_types_of_its_schema(described, kind):
    schema = described["components"]["schemas"][SCHEMAS.get(kind, kind.__name__)]
    hints = typing.get_type_hints(kind)
    fields = {one.name: type_of(hints[one.name]) for one in dataclasses.fields(kind)}
    assert fields == {name: described_type(one) for name, one in schema["properties"].items()}
    required = {one.name for one in dataclasses.fields(kind) if one.default is dataclasses.MISSING}
    assert required == set(schema.get("required", ()))


@pytest.mark.parametrize(
    "kind", [requests.Event, requests.RecommendRequest, requests.ItemFilter, items.ItemChange, *RULES]
)
def test_a_request_has_the_fields_and_defaults_of_its_schema(described, kind):
    schema = described["components"]["schemas"][SCHEMAS.get(kind, kind.__name__)]
    ours = {one.name: one.default for one in dataclasses.fields(kind)}
    required = schema.get("required", ())
    theirs = {
        name: dataclasses.MISSING if name in required else one.get("default")
        for name, one in schema["properties"].items()
    }
    assert ours == theirs
    if kind is requests.RecommendRequest:
        explore = typing.get_type_hints(kind)["explore"]
        assert list(typing.get_args(explore)) == schema["properties"]["explore"]["enum"]


def test_every_schema_has_a_class(described):
    kinds = (*ANSWERS, requests.Event, requests.RecommendRequest, requests.ItemFilter, items.ItemChange, *RULES)
    assert {SCHEMAS.get(kind, kind.__name__) for kind in kinds} | INSIDE >= set(described["components"]["schemas"])

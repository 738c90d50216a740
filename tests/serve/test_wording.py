"""What is wrong with a body is said in plain words, with the place, what was expected, and the field that was meant."""

import pytest
from pydantic import ValidationError

from foldin.serve import schemas
from foldin.serve.api.wording import invalid


@pytest.mark.parametrize(
    ("model", "body", "error"),
    [
        ("RecommendRequest", {"where": {}}, "body: there is no field 'where'; did you mean 'filter'?"),
        ("RecommendRequest", {"usr": "a"}, "body: there is no field 'usr'; did you mean 'user'?"),
        ("RecommendRequest", {"k": "ten"}, "body.k: a whole number was expected, not 'ten'"),
        ("RecommendRequest", {"k": 0}, "body.k: a number of at least 1 was expected, not 0"),
        ("RecommendRequest", {"user": 15}, "body.user: a text was expected, not 15"),
        ("RecommendRequest", {"user": {}, "k": 0}, "body.user: a text was expected, not an object (and 1 more)"),
        ("RecommendRequest", {"attributions": None}, "body.attributions: true or false was expected, not null"),
        (
            "RecommendRequest",
            {"explore": "no"},
            "body.explore: 'none', 'thompson' or 'temperature' was expected, not 'no'",
        ),
        (
            "RecommendRequest",
            {"user": "a", "history": []},
            "body: user and history exclude each other; give one of them, or neither",
        ),
        (
            "RecommendRequest",
            {"filter": {"low": {"any_of": "a"}}},
            "body.filter.low.any_of: a list was expected, not 'a'",
        ),
        (
            "RecommendRequest",
            {"filter": {"genres": {"anyof": []}}},
            "body.filter.genres: there is no field 'anyof'; did you mean 'any_of'?",
        ),
        (
            "RecommendRequest",
            {"filter": {"genres": {"any_of": [None]}}},
            "body.filter.genres.any_of.0: a text or true or false or a whole number or a number was expected, not null",
        ),
        ("RecommendRequest", {"rules": {"cap": []}}, "body.rules: there is no field 'cap'; did you mean 'caps'?"),
        (
            "BatchRecommendRequest",
            {"requests": [{"where": {}}]},
            "body.requests.0: there is no field 'where'; did you mean",
        ),
        ("BatchRecommendRequest", {"requests": []}, "body.requests: at least 1 entries were expected, not 0"),
        ("EventBatch", {"events": [{"item": "i"}]}, "body.events.0: field 'user' is missing"),
        (
            "EventBatch",
            {"events": [{"user": "u", "item": "i", "rating": 1}]},
            "body.events.0: there is no field 'rating'; did you mean 'value'?",
        ),
        (
            "ItemBatch",
            {"items": [{"item": "i", "active": True}]},
            "body.items.0: there is no field 'active'; did you mean 'is_active'?",
        ),
        ("EventBatch", [], "body: an object was expected, not a list"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(model, body, error):
    kind = getattr(schemas, model)
    with pytest.raises(ValidationError) as met:
        kind.model_validate(body)
    assert invalid(met.value.errors(), kind, "body").startswith(error)


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/v1/recommendations", b"{", "body: no JSON: "),
        ("/v1/recommendations", b'{"where": {}}', "body: there is no field 'where'; did you mean 'filter'?"),
        ("/v1/events", b"{", "body: no JSON: "),
        ("/v1/events", b"", "body: it is missing; a JSON object was expected"),
        ("/v1/events", b'{"event": []}', "body: field 'events' is missing (and 1 more)"),
        ("/v1/events", b'{"events": [{"usr": 1}]}', "body.events.0: field 'user' is missing (and 2 more)"),
    ],
)
def test_the_service_says_so(client, path, body, error):
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(error)


def test_parameters_are_said_in_plain_words(client):
    assert client.get("/v1/items", params={"limit": "many"}).json()["error"] == (
        "query.limit: a whole number was expected, not 'many'"
    )

"""Filters on attributes over HTTP."""


def test_over_http(client):
    ask = lambda **wanted: client.post("/v1/recommendations", json={"k": 20, "filter": wanted})
    listed = lambda answer: {hit["item"] for hit in answer.json()["items"]}
    assert listed(ask(kind={"none_of": ["even"]})) == {f"i{at}" for at in range(1, 20, 2)}
    assert listed(ask(year={"any_of": [1985, "1990"]})) == {"i5", "i10"}
    for wrong in (
        {"kind": {"any_of": [1]}},
        {"year": {"low": "1990"}},
        {"year": {"low": True}},
        {"year": {"above": 3}},
    ):
        assert ask(**wrong).status_code == 422


def test_the_names_of_attributes(client):
    told = client.get("/v1/models").json()["models"][0]
    assert told["attributes"] == ["count", "kind", "year"]

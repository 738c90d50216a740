"""Questions to a service in a line, for tests."""


def ask(client, status=200, path="/v1/recommendations", **question):
    response = client.post(path, json=question)
    assert response.status_code == status, response.text
    return response.json()


def items(content) -> list[str]:
    return [hit["item"] for hit in content["items"]]

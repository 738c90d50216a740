"""The studio's data: the lab's mathematics, the map, reports; and its files."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import MODELS
from foldin.runs import load_run, save_run
from foldin.serve import ItemRow, ItemsState, Registry
from foldin.serve.studio import lab
from foldin.serve.studio.code_tree import branches
from foldin.serve.studio.insight import Insight, _keep
from foldin.serve.studio.routes import FOLDER
from tests.serve.conftest import ITEMS, make_run


def test_every_page_is_served_and_nothing_else(client):
    assert client.get("/", follow_redirects=False).headers["location"] == "studio/index.html"
    for path in FOLDER.iterdir():
        response = client.get(f"/studio/{path.name}")
        assert response.status_code == 200
        assert response.content == path.read_bytes()
    assert client.get("/studio/plotly.min.js").headers["content-type"].startswith("text/javascript")
    for wrong in ("none.js", "..%2Fapp.py", "%2Fetc%2Fpasswd", "app.py"):
        assert client.get(f"/studio/{wrong}").status_code == 404


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline():
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert not any(word in text for word in ("eval(", "innerHTML", "new Function", "document.write"))
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert 'onclick="' not in page
    assert page.count("<script") == page.count("<script src=")


def test_the_lab_s_em_never_falls_and_ends_where_the_library_does(client):
    found = client.get("/v1/lab/em", params={"components": 3, "steps": 20, "seed": 3}).json()
    bounds = [frame["log_likelihood"] for frame in found["frames"]]
    assert len(bounds) == 21
    assert (np.diff(bounds) > -1e-9).all()
    assert bounds[-1] > bounds[0] + 0.1
    for frame in found["frames"]:
        assert np.allclose(np.sum(frame["responsibilities"], axis=1), 1.0, atol=0.01)
        assert np.isclose(np.sum(frame["weights"]), 1.0)


def test_the_lab_s_bound_stays_below_the_evidence_and_rises_to_it():
    found = lab.vi(events=5, steps=300, seed=0)
    grid = np.linspace(-30, 30, 60_001)
    taken, shown = found.taken, found.shown
    log_joint = taken * -np.logaddexp(0, -grid) + (shown - taken) * -np.logaddexp(0, grid)
    log_joint += -0.5 * (grid / 2) ** 2 - np.log(2 * np.sqrt(2 * np.pi))
    exact = np.logaddexp.reduce(log_joint) + np.log(grid[1] - grid[0])
    assert found.log_evidence == pytest.approx(exact, abs=1e-3)
    gaps = [found.log_evidence - frame.elbo for frame in found.frames]
    assert min(gaps) > -1e-6
    assert gaps[-1] < 0.05 < gaps[0]


@pytest.mark.parametrize(("steps", "eta"), [(1, 0.0), (10, 0.0), (50, 1.0), (200, 0.0)])
def test_the_lab_s_noise_turns_to_data(steps, eta):
    found = lab.diffusion(steps, eta, seed=1)
    data, last = np.array(found.data), np.array(found.frames[-1])
    nearest = np.linalg.norm(last[:, None] - data[None], axis=2).min(axis=1)
    assert found.signal[0] < 0.01
    assert found.signal[-1] == 1.0
    if steps == 1:
        assert np.allclose(last, data.mean(axis=0), atol=0.1)  # all that is known at the most noise is the mean
    else:
        assert nearest.mean() < 0.1  # the best denoiser of N points ends at one of them


def test_the_map_is_the_principal_components_of_the_item_vectors(client, runs):
    found = client.get("/v1/models/multvae/map").json()
    vectors = load_run(runs["multvae"]).model.item_vectors()[0].double()
    centered = vectors - vectors.mean(dim=0)
    _, sizes, _ = torch.linalg.svd(centered, full_matrices=False)
    at = np.array([[one["x"], one["y"]] for one in found["items"]])
    assert np.allclose((at**2).sum(axis=0), sizes[:2].square().numpy(), rtol=1e-3)
    assert found["explained"] == pytest.approx(float(sizes[:2].square().sum() / sizes.square().sum()), abs=1e-4)
    assert [one["item"] for one in found["items"]] == [f"i{at}" for at in range(ITEMS)]
    assert found["basis"] == "vectors"


def test_the_map_of_a_linear_model_is_the_principal_components_of_its_centered_weights(client, runs):
    found = client.get("/v1/models/ease/map").json()
    weights = load_run(runs["ease"]).model.weights.double().numpy()  # [i, j]: what item i says for j
    profiles = weights.T - weights.mean(axis=1)
    profiles -= profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    profiles -= profiles.mean(axis=0)
    u, sizes, _ = np.linalg.svd(profiles)
    at = np.array([[one["x"], one["y"]] for one in found["items"]])
    assert np.allclose(np.abs(at), np.abs(u[:, :2] * sizes[:2]), atol=2e-5)
    assert found["explained"] == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), abs=1e-6)
    assert found["basis"] == "profiles"


def test_a_model_with_one_list_for_all_puts_its_items_in_the_order_of_the_list(client):
    found = client.get("/v1/models/popularity/map").json()["items"]
    listed = client.post("/v1/recommendations", json={"model": "popularity", "k": ITEMS}).json()["items"]
    x = {one["item"]: one["x"] for one in found}
    order = [x[one["item"]] for one in listed]
    assert order in (sorted(order), sorted(order, reverse=True))
    assert len(set(order)) > 1
    assert {one["y"] for one in found} == {0.0}


def test_the_map_of_a_topic_model_is_that_of_topics_given_the_item(topics):
    _, one = topics
    found = Insight().map(one)
    weights, shares = one.run.model.components()
    posterior = weights[:, None] * shares
    posterior /= posterior.sum(axis=0)
    between = np.linalg.norm(
        posterior.T[:, None] - posterior.T[None], axis=2
    )  # kept by the plane of two topics, a line
    x = np.array([[point.x, point.y] for point in found.items])
    assert np.allclose(np.linalg.norm(x[:, None] - x[None], axis=2), between, atol=1e-4)
    assert found.basis == "components"
    assert found.explained == pytest.approx(1.0)
    history = Histories.from_lists([[0, 2]], ITEMS)
    with torch.no_grad():
        scores = one.run.model.logits(history)[0].numpy()
    scores[[0, 2]] = -np.inf
    assert np.allclose(Insight().user(one, history, seed=0).mean, x[np.argsort(-scores)[:10]].mean(axis=0), atol=1e-4)


def test_components_have_their_characteristic_items_with_shares(topics):
    _, one = topics
    found = Insight().report(one, live=False).components
    weights, shares = one.run.model.components()
    assert [part.share for part in found] == sorted(weights.tolist(), reverse=True)
    for part, at in zip(found, np.argsort(-weights), strict=True):
        assert all(item.share == shares[at][int(item.item[1:])] for item in part.items)
        assert len({int(item.item[1:]) % 2 for item in part.items[:3]}) == 1  # of one taste


@pytest.fixture
def topics(tmp_path):
    """(a registry, LDA of two topics in service)."""
    registry = Registry()
    yield registry, registry.deploy(make_run(tmp_path / "lda", "lda"))
    registry.close()


def test_vectors_of_width_one_lie_on_a_line(tmp_path):
    model = MODELS["multvae"].model_class(ITEMS, MODELS["multvae"](hidden_dims=(), latent_dim=1))
    catalog = load_run(make_run(tmp_path / "any", "popularity")).catalog
    save_run(tmp_path / "narrow", model=model, catalog=catalog, info={"seed": 0})
    registry = Registry()
    one = registry.deploy(tmp_path / "narrow")
    found = Insight().map(one)
    assert {point.y for point in found.items} == {0.0}
    assert found.explained == pytest.approx(1.0)
    assert Insight().user(one, Histories.from_lists([[0]], ITEMS), seed=0).mean[1] == 0.0
    registry.close()


def test_the_studio_shows_items_as_they_are_known_now(topics, runs):
    names, insight = load_run(runs["semantic"]).model.item_tokens(), Insight()
    registry, lda = topics
    tokens = registry.deploy(runs["semantic"])
    before = {point.item: point for point in insight.map(lda).items}
    first = insight.components(lda)[0].items
    gone, changed = first[0].item, first[1].item
    state = ItemsState(1, {gone: ItemRow(item=gone, is_active=False), changed: ItemRow(item=changed, title="해 <b>")})
    for one in (lda, tokens):
        one.show(state)
    after = {point.item: point for point in insight.map(lda).items}
    assert set(before) - set(after) == {gone}
    assert after[changed].title == "해 <b>"
    assert (after[changed].x, after[changed].y) == (before[changed].x, before[changed].y)
    again = insight.components(lda)[0].items
    assert (again[0].item, again[0].title) == (changed, "해 <b>")
    assert len(again) == len(first)
    row = names[int(gone[1:])].tolist()
    leaf = branches(tokens, row[:-1], 1000) if (names[:, :-1] == row[:-1]).all(axis=1).sum() > 1 else None
    assert leaf is None or gone not in {one.item for one in leaf.branches}
    assert branches(tokens, [], 1000).items == ITEMS - 1
    titles = {title for one in branches(tokens, [], 1000).branches for title in one.titles}
    assert lda.run.catalog.titles[int(gone[1:])] not in titles


def test_only_the_newest_runs_are_remembered():
    kept: dict[str, int] = {}
    for at in range(20):
        _keep(kept, str(at), at)
    assert list(kept.values()) == list(range(12, 20))


def test_the_code_tree_holds_every_item_once(client, runs):
    names = load_run(runs["semantic"]).model.item_tokens()
    assert client.get("/v1/models/semantic/report").json()["levels"] == names.shape[1] == 3
    assert client.get("/v1/models/ease/report").json()["levels"] is None
    path = "/v1/models/semantic/codes"
    leaves = {}

    def walk(codes):
        node = client.get(path, params={"path": codes, "limit": 1000}).json()
        assert sum(one["items"] for one in node["branches"]) == node["items"]
        assert node["of"] == len(node["branches"])
        shares = [one["share"] for one in node["branches"]]
        assert shares == sorted(shares, reverse=True)
        for one in node["branches"]:
            here = [*codes, one["code"]]
            if len(here) == names.shape[1]:
                assert one["items"] == 1
                leaves[one["item"]] = here
            else:
                assert (one["item"] is None) == (one["items"] > 1)
                walk(here)
        return sum(shares)

    assert walk([]) == pytest.approx(1.0)
    assert leaves == {f"i{at}": row for at, row in enumerate(names.tolist())}
    short = client.get(path, params={"limit": 1}).json()
    assert len(short["branches"]) == 1
    assert short["of"] > 1
    for wrong in ([9], [0] * 3, [2**40], [-1]):
        assert client.get(path, params={"path": wrong}).status_code == 422
    assert client.get("/v1/models/ease/codes").status_code == 422


def test_a_user_lies_on_the_side_of_their_items(client):
    points = {
        one["item"]: np.array([one["x"], one["y"]]) for one in client.get("/v1/models/multvae/map").json()["items"]
    }
    even = sum(points[f"i{at}"] for at in range(0, ITEMS, 2))
    for own, side in ((["i0", "i2", "i4"], even), (["i1", "i3", "i5"], -even)):
        found = client.post("/v1/models/multvae/map:user", json={"history": own}).json()
        assert np.dot(found["mean"], side) > 0
        assert len(found["draws"]) == 200
        assert np.array(found["draws"]).std() > 0
    points = {one["item"]: one["x"] for one in client.get("/v1/models/ease/map").json()["items"]}
    plain = client.post("/v1/models/ease/map:user", json={"history": ["i0"]}).json()
    best = client.post("/v1/recommendations", json={"history": ["i0"], "model": "ease"}).json()["items"]
    assert plain["mean"][0] == pytest.approx(np.mean([points[one["item"]] for one in best]), abs=1e-4)
    assert plain["draws"] == []


def test_reports_tell_what_the_run_holds_and_why_there_is_no_more(client):
    found = client.get("/v1/models/multvae/report").json()
    assert found["kind"] == "multvae"
    assert found["config"]["latent_dim"] == 8
    assert found["explained"] is None
    live = client.get("/v1/models/multvae/report", params={"live": True}).json()
    assert live["explained"] is None
    assert live["unexplained"]  # this run does not know its log
    assert client.get("/v1/models/none/report").status_code == 404


def test_a_report_is_of_the_run_that_serves_not_of_what_its_folder_holds_by_now(tmp_path):
    folder = make_run(tmp_path / "shop", "multvae")
    save_run(
        folder,
        model=load_run(folder).model,
        catalog=load_run(folder).catalog,
        info={"seed": 1},
        history=[{"epoch": 1}],
        metrics={"ndcg@10": {"mean": 0.5}},
    )
    registry = Registry()
    one = registry.deploy(folder)
    assert Insight().report(one, live=False).metrics
    make_run(folder, "multvae", seed=2)
    stale = Insight().report(one, live=False)
    assert (stale.metrics, stale.history) == ({}, [])
    registry.close()


def test_draws_are_those_of_the_posterior(runs):
    model = load_run(runs["multvae"]).model
    users = Histories.from_lists([[0, 2]], ITEMS)
    with torch.no_grad():
        assert torch.equal(model.queries(users), model.queries_at(model.posterior(users)[0]))

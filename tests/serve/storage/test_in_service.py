"""What a service has of a folder of runs: the run that it answers with, and those that it may need again."""

import pytest

from foldin.errors import ConfigError, DataError
from foldin.experiment import InService
from foldin.runs import add_generation, load_run
from foldin.serve import DeploymentStore, RunRef, connect, in_service
from tests.runs.test_generations import writing


def generation(folder, number: int) -> RunRef:
    """A new generation, as a service names it."""
    found = add_generation(folder, writing(number)).folder
    return RunRef(str(found), load_run(found).info["digest"])


def test_the_run_that_answers_is_the_current_one_unless_that_was_rolled_back(store, url, tmp_path):
    rows, folder = DeploymentStore(store.engine), tmp_path / "shop"
    assert in_service(url, folder) == InService()
    first = generation(folder, 1)
    assert in_service(url, folder) == InService()
    rows.deploy("shop", first, key="command line", generation=0)
    assert in_service(url, folder) == InService(named={first.uri, first.digest})
    second = generation(folder, 2)
    assert in_service(url, folder).digest is None  # the service will take it up
    rows.deploy("shop", second, key="watch")
    both = {first.uri, first.digest, second.uri, second.digest}
    assert in_service(url, folder) == InService(named=both)
    rows.roll_back("shop", key="admin")
    found = in_service(url, folder)
    assert found == InService(digest=first.digest, uri=first.uri, named=both)
    third = generation(folder, 3)
    assert in_service(url, folder).digest is None
    elsewhere = RunRef("s3://bucket/runs/other", "e" * 64)
    rows.deploy("shop", third, key="watch")
    rows.deploy("shop", elsewhere, key="admin")
    found = in_service(url, folder)
    assert (found.digest, found.uri) == (elsewhere.digest, elsewhere.uri)
    assert third.digest in found.named
    assert second.digest not in found.named
    rows.deploy("other", first, key="admin", default=True)
    rows.retire("shop", key="admin")
    assert in_service(url, folder) == InService(named={first.uri, first.digest})


def test_a_model_of_the_same_name_that_never_had_the_run_says_nothing(store, url, tmp_path):
    DeploymentStore(store.engine).deploy("shop", RunRef("/elsewhere/shop", "e" * 64), key="admin")
    generation(tmp_path / "shop", 1)
    assert in_service(url, tmp_path / "shop").digest is None


def test_a_database_without_deployments_says_nothing_and_one_that_is_missing_is_an_error(tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/plain.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE foldin_events (id INTEGER)")
    engine.dispose()
    assert in_service(f"sqlite:///{tmp_path}/plain.db", tmp_path) == InService()
    with pytest.raises(DataError, match="no such file"):
        in_service(f"sqlite:///{tmp_path}/none.db", tmp_path)
    with pytest.raises(ConfigError, match="was expected, not mysql"):
        in_service("mysql://host/shop", tmp_path)

"""What `foldin serve` refuses before it opens a port, each in one line."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events", "sqlite:///{}/events.db"], "no run was given, and the database knows no model"),
        (["{}/none", "--events", "sqlite:///{}/events.db"], "none: no such run directory"),
        (["{}/none", "--events", "sqlite://", "--workers", "2"], "in memory"),
        (["s3:/none", "--events", "sqlite:///{}/events.db"], "no such run directory"),
        (["nonsense://bucket/none", "--events", "sqlite:///{}/events.db"], "nonsense://bucket/none: cannot be read"),
    ],
)
def test_what_cannot_be_served_is_one_line(foldin, tmp_path, arguments, message):
    given = [one.replace("{}", str(tmp_path)) for one in arguments]
    code, out, err = foldin("serve", *given, "--no-keys", "--port", "0")
    assert (code, out) == (2, "")
    assert err.startswith("foldin: error: ")
    assert message in err
    assert len(err.splitlines()) == 1

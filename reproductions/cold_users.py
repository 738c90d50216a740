"""Users without events on `ml-1m`: popularity, and Mult-VAE and a two-tower model that read ages, genders and occupations.

python reproductions/cold_users.py

The protocol is `cold-users`: a tenth of the users is held out for validation and a tenth for the test, with an empty history. The
second table is of `strong`, where the same features are read beside a history: what they add to it. Settings are chosen by
validation NDCG@100.
"""

from pathlib import Path

from harness import Grid, arguments, keep, shrunk, table

from foldin.data import Categories, Numbers, Source, Split, split_log, with_user_features

METRICS = ("recall@10", "ndcg@10", "recall@50", "ndcg@100")
READ = {"user_features": "inputs"}
COLD: dict[str, Grid] = {
    "popularity": [{}],
    "multvae users": [{**READ, "epochs": 100, "user_features.dropout": p} for p in (0.5, 0.8)],
    "two-tower users": [
        {**READ, "epochs": 60, "user_features.dropout": p, "temperature": t} for p in (0.5, 0.8) for t in (0.1, 0.2)
    ],
}
STRONG: dict[str, Grid] = {
    "multvae": [{"epochs": 100}],
    "multvae users": [{**READ, "epochs": 100, "user_features.dropout": p} for p in (0.0, 0.5)],
    "two-tower": [{"epochs": 60, "temperature": t} for t in (0.1, 0.2)],
    "two-tower users": [{**READ, "epochs": 60, "user_features.dropout": 0.5, "temperature": t} for t in (0.1, 0.2)],
}


def split_of(data: Path, protocol: str) -> Split:
    """The split with features of its users."""
    log = Source(path=str(data / "ml-1m"), min_rating=4.0, item_events=5).log()
    columns = [Categories(column="gender"), Numbers(column="age"), Categories(column="occupation")]
    described = log.with_users(data / "ml-1m" / "users.dat").user_features
    return with_user_features(split_log(log, protocol), described, columns)


def main() -> None:
    options = arguments(__doc__, name="cold_users", folder=Path(__file__).parent, seeds=1)
    found = {}
    for name, protocol, grids in (
        ("ml-1m, users without events", "cold-users", COLD),
        ("ml-1m, users with events", "strong", STRONG),
    ):
        split = split_of(options.data, protocol)
        found[name] = table(split, name, shrunk(grids, options), seeds=options.seeds, metrics=METRICS)
    keep(options, "cold_users", found, {})


if __name__ == "__main__":
    main()

"""Fill the figures of the pages in `PAGES` from `results/*.json`, between `<!-- NAME -->` and `<!-- end -->`."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from tables.base import ROOT
from tables.bounds import explained
from tables.gpu import on_a_gpu
from tables.large import (
    growing,
    large_catalog,
    large_linear,
    large_lists,
    sampled_losses,
    scale_in_short,
    scale_in_short_in_korean,
    workers,
)
from tables.loop import dislikes, kinds, nightly_loop, warm_starts
from tables.pictures import ddpm, pictures
from tables.recommenders import (
    choosing,
    clean,
    diffrec,
    factors,
    on_each_log,
    other_protocols,
    product,
    quality,
    quality_in_short,
    temporal,
)
from tables.scale import scale_large, scale_points, scale_units, scale_walls
from tables.sequences import semantic, sequences
from tables.speed import against_commit, speed, speed_in_short, speed_in_short_in_korean
from tables.trials import pythons, served, tuned
from tables.unusual import cold_users, repeats

SECTIONS: dict[str, Callable[[], str]] = {
    "choosing": choosing,
    "on each log": on_each_log,
    "quality in short": quality_in_short,
    "speed in short": speed_in_short,
    "speed in short, in Korean": speed_in_short_in_korean,
    "quality": quality,
    "other protocols": other_protocols,
    "clean": clean,
    "factors": factors,
    "sequences": sequences,
    "semantic": semantic,
    "pictures": pictures,
    "ddpm": ddpm,
    "diffrec": diffrec,
    "served": served,
    "temporal": temporal,
    "speed": speed,
    "explained": explained,
    "product": product,
    "against commit": against_commit,
    "on a gpu": on_a_gpu,
    "tuned": tuned,
    "pythons": pythons,
    "nightly loop": nightly_loop,
    "warm starts": warm_starts,
    "kinds": kinds,
    "dislikes": dislikes,
    "cold users": cold_users,
    "repeats": repeats,
    "scale units": scale_units,
    "scale points": scale_points,
    "scale large": scale_large,
    "scale walls": scale_walls,
    "growing": growing,
    "large catalog": large_catalog,
    "large linear": large_linear,
    "large lists": large_lists,
    "sampled losses": sampled_losses,
    "scale in short": scale_in_short,
    "scale in short, in Korean": scale_in_short_in_korean,
    "workers": workers,
}


PAGES = tuple(
    ROOT / name
    for name in (
        "README.md",
        "README.ko.md",
        "docs/results.md",
        "docs/guide/choosing.md",
        "docs/guide/cold-items.md",
        "docs/guide/data.md",
        "docs/guide/gpu.md",
        "docs/guide/large-catalogs.md",
        "docs/guide/lists.md",
        "docs/guide/nightly.md",
        "docs/guide/repeats.md",
        "docs/guide/scale.md",
        "docs/guide/training.md",
        "docs/guide/tuning.md",
        "docs/guide/weights.md",
        "docs/guide/workers.md",
        "docs/start/install.md",
    )
)


def filled(text: str) -> str:
    """The text with every section that it has made anew."""
    for name in sections_of(text):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        made = SECTIONS[name]()
        text = re.sub(
            pattern, lambda match, made=made: match.group(1) + made + "\n" + match.group(2), text, flags=re.DOTALL
        )
    return text


def sections_of(text: str) -> list[str]:
    """Names of the sections that a page has."""
    return [name for name in re.findall(r"<!-- (.*?) -->\n", text) if name != "end"]


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")

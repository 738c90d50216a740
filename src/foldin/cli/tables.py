"""The table of metrics with intervals, the paired tests in words, and the choice of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from foldin.cli.output import line_width, table
from foldin.reports import CHOICE_HEAD, choice_rows, choice_title
from foldin.reports.wording import figure, interval
from foldin.training import Stopped

__all__ = ["metrics_table", "show_calibrations", "show_choice", "show_fit", "show_tests"]

SHOWN = ("ndcg@100", "recall@20", "recall@50", "ndcg@10")
_GAP = 2  # characters between columns


def _cell(entry: Mapping[str, Any] | None, places: int = 3) -> Text:
    if entry is None:
        return Text("–")
    text = Text(figure(entry, "mean", places))
    if found := interval(entry, places, "–"):
        text.append(f" {found}", style="dim")
    return text


def metrics_table(content: Mapping[str, Any], width: int, shown: Sequence[str] = SHOWN) -> Table:
    """Metrics of models side by side: each mean with its 95 % interval over users, or a dash where there are too few users.

    Perplexity is given twice: from the mean over users of their mean log-likelihood, and from the mean over held-out events.

    Args:
        width: number of characters of a line; columns that do not fit are left out, the least important ones first, and named.
    """
    models = content["models"]
    first = next(iter(models.values()))["metrics"]
    names = [name for name in shown if name in first] or [n for n in first if "@" in n][:4]

    covered = next((name for name in first if name.startswith("coverage")), "coverage")

    def cells(name: str, places: int = 3) -> list[Text]:
        return [_cell(about["metrics"].get(name), places) for about in models.values()]

    columns = {name: cells(name) for name in names}
    columns |= {
        "perplexity per user": cells("perplexity", 0),
        "per event": cells("perplexity_per_event", 0),
        "coverage": cells(covered, 2),
        "fit s": [Text(f"{about['fit_seconds']:.1f}") for about in models.values()],
    }
    left = width - max(map(cell_len, ("model", *models))) - _GAP
    kept: set[str] = set()
    missing = []
    for name in sorted(
        columns, key=[*names[:2], "perplexity per user", "fit s", *names[2:], "coverage", "per event"].index
    ):
        needed = max(cell_len(one) for one in (name, *(cell.plain for cell in columns[name]))) + _GAP
        if needed <= left or not kept:
            kept.add(name)
            left -= needed
        else:
            missing.append(name)
    users = content["users"]["test"] - content["without_targets"]
    title = (
        f"{content['data']}, protocol {content['protocol']}: {users:,} test users, "
        f"{content['items']:,} items ranked, mean and 95 % interval"
    )
    used = [name for name in columns if name in kept]
    made = table(
        title, ("model", *used), [(model, *(columns[name][at] for name in used)) for at, model in enumerate(models)]
    )
    if missing:
        made.caption = Text(f"not shown, for want of space: {', '.join(missing)}")
        made.caption_justify = "left"
    return made


def show_fit(console: Console, content: Mapping[str, Any]) -> None:
    """Print the result of the training of one model: its metrics, why it ended, and where the run is."""
    console.print(metrics_table(content, line_width(console)))
    show_calibrations(console, content)
    (about,), run = content["models"].values(), content["run"]
    epoch = "" if about["best_epoch"] is None else f" (epoch {about['best_epoch']} of {about['epochs']})"
    if epoch:
        console.print(Stopped(about["stopped"]).sentence)
    console.print(f"saved in {run}{epoch}; try: foldin recommend {run} --history ID,ID", soft_wrap=True)


def show_calibrations(console: Console, content: Mapping[str, Any]) -> None:
    """Print a sentence for each calibrated model: its temperature, and its gain in nats."""
    for model, about in content["models"].items():
        found = about.get("calibration")
        if found is None:
            continue
        if "failed" in found:
            console.print(f"  {model}: no temperature: {found['failed']}", soft_wrap=True)
            continue
        console.print(
            f"  {model}: temperature {found['temperature']:.4g}, fitted on {found['events']:,} held-out events of "
            f"{found['users']:,} validation users; gain there {found['gain']:.4f} nats per event",
            soft_wrap=True,
        )


def show_tests(console: Console, content: Mapping[str, Any], metric: str) -> None:
    """Print a sentence for the paired test of each two models on one metric."""
    for test in content["tests"]:
        if test["metric"] != metric:
            continue
        if test["p_adjusted"] is None:
            console.print(f"  {test['a']} and {test['b']}: no test, because a difference in {metric} is not finite")
            continue
        better, worse = (test["a"], test["b"]) if test["difference"] >= 0 else (test["b"], test["a"])
        sure = "significant" if test["p_adjusted"] < 0.05 else "not significant"
        console.print(
            f"  {better} over {worse}: {abs(test['difference']):.3f} {metric} "
            f"(p = {test['p_adjusted']:.2g} after Holm's correction, {sure} at 5 %)"
        )


def show_choice(console: Console, choice: Mapping[str, Any]) -> None:
    """Print the model to take, with the figures of all models on the validation users, the reasons and the alternatives."""
    console.print(table(choice_title(choice), CHOICE_HEAD, choice_rows(choice)))
    for sentence in choice["sentences"]:
        console.print(f"  {sentence}", soft_wrap=True)

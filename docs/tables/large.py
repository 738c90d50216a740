"""The tables of large logs, catalogs of a million items, and several workers."""

from typing import Any

from foldin.memory import in_words
from tables.base import ROOT, load, rows_of

__all__ = [
    "growing",
    "large_catalog",
    "large_linear",
    "large_lists",
    "sampled_losses",
    "scale_in_short",
    "scale_in_short_in_korean",
    "workers",
]

_BATCH = 64  # requests of a batch in `benchmarks/big_lists.py`
_MODELS = {
    "multvae": "Mult-VAE",
    "multdae": "Mult-DAE",
    "recvae": "RecVAE",
    "sasrec": "SASRec",
    "mixture": "mixture of multinomials, EM",
    "multvae, sampled": "Mult-VAE, `loss=sampled`",
    "lda": "LDA",
    "poisson": "Poisson factorization",
    "ease": "EASE",
    "sansa": "SANSA",
    "elsa": "ELSA",
}
_LOSSES = {"full": "`softmax`", "sampled": "`sampled`", "bfloat16": "`sampled`, bfloat16"}


def _result(name: str, folder: str = "benchmarks") -> dict[str, Any]:
    return load(f"{folder}/results/{name}.json")


def _megabytes(value: float) -> str:
    return in_words(1e6 * value)


def _spread(of: dict[str, float]) -> str:
    """Median and 99th percentile."""
    return f"{of['p50']:.1f} / {of['p99']:.1f}"


def _in_short() -> dict[str, str]:
    """The figures of the paragraph on scale."""
    catalog, lists, shared = (_result(name) for name in ("big_catalog", "big_lists", "workers"))
    large, small = (f"{which(map(int, catalog['figures'])):,}" for which in (max, min))
    index = lists["figures"]["HNSW32,SQ8"]
    exact, found = (index[f"{way}_milliseconds"]["p50"] for way in ("exact", "index"))
    ratios = [one["processes"] / one["threads"] for one in shared["figures"]["seconds_per_epoch"].values()]
    return {
        "large": large,
        "small": small,
        "slower": f"{catalog['ratios']['sampled, large over small']:.1f}",
        "recall": f"{index['recall']:.1%}",
        "found": f"{found:.1f}",
        "exact": f"{exact:.0f}",
        "least": f"{min(ratios):.2f}",
        "most": f"{max(ratios):.2f}",
    }


def scale_in_short() -> str:
    """What a million items and a second worker take, in a paragraph."""
    return """\
A log larger than memory is [prepared as shards](docs/guide/data.md#logs-larger-than-memory) and trained on in parts. With a
[sampled softmax](docs/guide/training.md#large-catalogs), an event of {large} items takes {slower} times as long as one of
{small}; an [index](docs/guide/lists.md#large-catalogs) finds {recall} of the exact lists in {found} ms instead of {exact} ms.
[Several processes](docs/guide/workers.md) or [a Ray cluster](docs/guide/cluster.md) give the result of one process, up to
rounding; on two cores, two of one thread take {least} to {most} times as long as one of two.""".format(**_in_short())


def scale_in_short_in_korean() -> str:
    return """\
메모리보다 큰 로그는 [샤드로 준비해](docs/guide/data.md#logs-larger-than-memory) 나누어 학습합니다.
[표본 소프트맥스](docs/guide/training.md#large-catalogs)를 쓰면 아이템이 {large}개일 때 이벤트 하나에 걸리는 시간은
{small}개일 때의 {slower}배이고,
[인덱스](docs/guide/lists.md#large-catalogs)는 정확한 목록의 {recall}를 {exact} ms가 아니라 {found} ms에 찾습니다.
[여러 프로세스](docs/guide/workers.md)나 [Ray 클러스터](docs/guide/cluster.md)로 학습해도
결과는 반올림 차이를 빼면 프로세스 하나와 같습니다.
코어 두 개에서 스레드 하나짜리 프로세스 두 개는 스레드 두 개짜리 하나보다 {least}~{most}배의 시간이 걸립니다.""".format(
        **_in_short()
    )


def large_catalog() -> str:
    """Mult-VAE by a sampled loss on a million items, beside the small catalog."""
    result = _result("big_catalog")
    settings, ratios = result["settings"], result["ratios"]
    rows = [
        [
            f"{int(items):,}",
            _LOSSES[kind],
            f"{1e6 * of['seconds_per_event']:.1f}",
            f"{ratios[f'{kind}, large over small']:.2f}" if f"{items}" == max(result["figures"], key=int) else "",
            _megabytes(of["anonymous"]),
            f"{1e3 * of['seconds_per_list']:.1f}",
        ]
        for items, kinds in result["figures"].items()
        for kind, of in kinds.items()
    ]
    head = ["items", "loss", "µs an event", "of the small catalog", "memory", "ms a list"]
    about = (
        f"Mult-VAE of {settings['latent_dim']} dimensions on a synthetic log of {settings['events']:g} million events, "
        f"{settings['negatives']:,} negatives, batches of {settings['batch_size']} users, {settings['threads']} threads:"
    )
    return f"{about}\n\n{rows_of(head, rows)}"


def sampled_losses() -> str:
    """NDCG@100 by the sampled losses and by the full one."""
    result = _result("sampled", "reproductions")
    figures, about = result["figures"]["ml-1m-strong"], result["reports"]["ml-1m-strong"]["models"]
    rows = []
    for name, of in figures.items():
        model, *loss = name.split()
        rows.append(
            [
                _MODELS[model],
                _LOSSES[loss[0] if loss else "full"],
                f"{of['ndcg@100']['mean']:.4f}",
                f"{about[name]['difference']:+.4f}" if loss else "",
                f"{100 * about[name]['scored_share']:.0f} %",
            ]
        )
    return rows_of(["model", "loss", "N@100", "difference", "items scored a step"], rows)


def large_lists() -> str:
    """Times and recall of indexes over a million items, beside scoring all of them."""
    result = _result("big_lists")
    settings, rows = result["settings"], []
    for kind, of in result["figures"].items():
        if kind == "exact":
            continue
        for way, name in (("exact", "every item"), ("index", f"`{kind}`")):
            index = way == "index"
            memory = of["over_file"] if index else result["figures"]["exact"]["over_file"]
            rows.append(
                [
                    name,
                    _spread(of[f"{way}_milliseconds"]),
                    _spread(of[f"{way}_milliseconds_of_{_BATCH}"]),
                    f"{of['recall']:.3f}" if index else "1",
                    ", ".join(f"{of[key]:.3f}" for key in of if key.startswith("recall_at_")) if index else "1",
                    f"{memory:.2f}",
                    f"{of['seconds_to_build']:,.0f} s" if index else "",
                ]
            )
    shares = ", ".join(
        f"{100 * float(key.removeprefix('recall_at_')):g} %"
        for key in next(of for name, of in result["figures"].items() if name != "exact")
        if key.startswith("recall_at_")
    )
    head = ["search", "one list, ms", f"{_BATCH} lists, ms", "recall", f"recall at {shares}", "memory", "built in"]
    about = (
        f"Lists of {settings['k']} from {settings['items']:,} items of {settings['dim']} dimensions, "
        f"{settings['threads']} threads. Times are medians / 99th percentiles, those of *every item* by turns with the "
        "index in the line below; *recall* is the share of the exact lists, also where a filter leaves a share of the "
        "items; *memory* is that of a process that makes lists, over the size of the model's file:"
    )
    return f"{about}\n\n{rows_of(head, rows)}"


def large_linear() -> str:
    """Time and memory of linear models of a million items, and of the small catalog beside EASE."""
    if not (ROOT / "benchmarks/results/big_linear.json").exists():
        return ""
    result = _result("big_linear")
    settings = result["settings"]
    rows = [
        [
            f"{int(items):,}",
            _MODELS[name],
            _duration(of["seconds"]),
            _megabytes(of["anonymous"]),
            f"{of['numbers']:,.0f} million",
            f"{1e3 * of['seconds_per_list']:.1f} ms",
        ]
        for items, models in result["figures"].items()
        for name, of in models.items()
    ]
    head = ["items", "model", "training", "memory", "stored numbers", "a list"]
    about = (
        f"A synthetic log of {settings['events']:g} million events, {settings['neighbors']} neighbors in SANSA, "
        f"{settings['width']} dimensions, batches of {settings['batch']:,} users and epochs: {settings['epochs']} in ELSA, "
        f"threads: {settings['threads']}. *Memory* "
        f"is the largest of training and of lists for {settings['ranked']} users at once, beyond that of the log:"
    )
    return f"{about}\n\n{rows_of(head, rows)}"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def workers() -> str:
    """Seconds of an epoch by two processes of one thread, and by one process of two."""
    result = _result("workers")
    figures, settings = result["figures"], result["settings"]
    rows = [
        [
            _MODELS[name],
            f"{of['threads']:.3g}",
            f"{of['processes']:.3g}",
            f"{of['processes'] / of['threads']:.2f}",
            f"{figures['exchanged_mb'][name]:,.1f}",
        ]
        for name, of in figures["seconds_per_epoch"].items()
    ]
    head = ["model", "one process of two threads, s", "two processes of one, s", "ratio", "MB a step"]
    dense = ", ".join(f"{mb:,.0f} MB" for mb in figures["dense_mb"].values())
    about = (
        f"An epoch of {settings['events'] / 1e6:.1f} million synthetic events over {settings['items']:,} items, that of "
        f"the sampled loss over {settings['large_items']:,}, whose dense gradients would be {dense}. Medians of "
        f"{settings['repeats']} runs by turns:"
    )
    return f"{about}\n\n{rows_of(head, rows)}"


def growing() -> str:
    """Seconds an event and memory at growing numbers of events."""
    result = _result("grow")
    figures, settings = result["figures"], result["settings"]
    sizes = list(figures["millions"])
    head = ["", *(f"{size} million" for size in sizes), "rise", "range of memory"]
    rows = [
        [
            label,
            *(
                f"{row[what]['seconds'] / float(size):.2f} µs, {_megabytes(row[what]['anonymous'])}"
                for size, row in figures["millions"].items()
            ),
            *("", ""),
        ]
        for what, label in (("prepare", "preparing"), ("polars", "Polars reads and counts"))
    ]
    for name, growth in figures["growth"].items():
        each = (figures["millions"][size][name] for size in sizes)
        rows.append(
            [
                _MODELS[name],
                *(f"{1e6 * of['seconds'] / of['events']:.2f} µs, {_megabytes(of['anonymous'])}" for of in each),
                f"{_rise(figures['seconds_per_event'][name]):.2f}",
                _megabytes(growth["mb"]),
            ]
        )
    about = (
        f"Time an event and anonymous memory, of synthetic logs with {settings['items']:,} items "
        f"({settings['linear_items']:,} for EASE), threads: {result['threads']}. Steps of gradients are timed on "
        f"{settings['sample']:g} million events of each log, passes over the whole log. The *rise* is the largest time over "
        "that of a smaller log, 1 where time falls: the inverse of EASE takes as long for every log. Polars holds the "
        "whole log, preparing does not:"
    )
    return f"{about}\n\n{rows_of(head, rows)}"


def _rise(each: list[float]) -> float:
    """The largest number over one that is before it; 1 if none is larger than those before it."""
    return max(one / min(each[: at + 1]) for at, one in enumerate(each))

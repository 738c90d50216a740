"""The tables of what foldin takes, beside its peers, its limit and its earlier self."""

from typing import Any

from tables.base import load, rows_of

__all__ = ["against_commit", "speed", "speed_in_short", "speed_in_short_in_korean"]


def speed() -> str:
    """foldin against its peers, each pair in one run."""
    epoch, rec = load("benchmarks/results/multvae_epoch.json"), load("benchmarks/results/recvae_epoch.json")
    quick, lists = load("benchmarks/results/multvae_quality_time.json"), load("benchmarks/results/recommend_all.json")
    read, sas = load("benchmarks/results/read_log.json"), load("benchmarks/results/sasrec_epoch.json")

    def s(value: float) -> str:
        return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"

    gauss, bayes, lda, hpf = (
        load(f"benchmarks/results/{name}.json")
        for name in ("gaussian_mixture", "variational_mixture", "lda", "poisson")
    )
    e, r, q, m, d, t = (one["figures"] for one in (epoch, rec, quick, lists, read, sas))
    vq, aevb = load("benchmarks/results/quantize.json"), load("benchmarks/results/aevb.json")
    # Without instructions for it, bfloat16 is far slower than float32.
    emulated = (
        ""
        if aevb["ratios"]["bfloat16, pythae"] > 0.5 * aevb["ratios"]["ours, pythae"]
        else ", emulated on this processor"
    )
    diffused, sampler = load("benchmarks/results/diffrec_epoch.json"), load("benchmarks/results/ddim.json")
    dif = diffused["figures"]
    g, b, a, h = (one["figures"] for one in (gauss, bayes, lda, hpf))
    rows = [
        [
            "an epoch of Mult-VAE, ML-20M-shaped log",
            s(e["seconds_per_epoch"]["ours"]),
            f"dense PyTorch {s(e['seconds_per_epoch']['dense'])}",
            f"{epoch['ratios']['dense']:.1f}×",
        ],
        ["", "", f"Cornac VAECF {s(e['seconds_per_epoch']['cornac'])}", f"{epoch['ratios']['cornac']:.1f}×"],
        [
            "an outer epoch of RecVAE, the same log",
            s(r["seconds_per_epoch"]["ours"]),
            f"dense PyTorch {s(r['seconds_per_epoch']['dense'])}",
            f"{rec['ratios']['dense']:.1f}×",
        ],
        [
            "Mult-VAE to the dense one's best N@100, `ml-1m-strong`",
            s(q["seconds"]["quick"]),
            f"dense PyTorch {s(q['seconds']['dense'])}",
            f"{quick['ratios']['dense']:.1f}×",
        ],
        [
            "top-100 for 116,677 users × 20,108 items (Mult-VAE)",
            s(m["seconds"]["ours"]),
            f"implicit, 128 factors {s(m['seconds']['implicit'])}",
            f"{lists['ratios']['implicit']:.1f}×",
        ],
        *(
            [
                f"an epoch of SASRec, full softmax, {name}",
                s(t[key]["seconds"]["ours"]),
                f"{peer} {s(t[key]['seconds'][kind])}",
                f"{sas['ratios'][f'{kind}_{key}']:.1f}×",
            ]
            for key, name in (("beauty", "Amazon Beauty, length 50"), ("ml1m", "MovieLens-1M, length 200"))
            for kind, peer in (("rectools", "RecTools' trainer"), ("rectools_fast", "RecTools' fast path"))
        ),
        [
            "SASRec's top-10 for all users of MovieLens-1M",
            s(t["recommend_ml1m"]["ours"]),
            f"RecTools {s(t['recommend_ml1m']['rectools'])}",
            f"{sas['ratios']['rectools_recommend']:.1f}×",
        ],
        [
            "an iteration of EM, Gaussian mixture 200,000 × 16, 10 full",
            f"{g['full']['seconds']['ours'] * 1000:.0f} ms",
            f"scikit-learn {g['full']['seconds']['scikit-learn'] * 1000:.0f} ms, the same likelihood",
            f"{gauss['ratios']['scikit-learn_full']:.1f}×",
        ],
        [
            "a sweep of variational Bayes for that mixture",
            f"{b['full']['seconds']['ours'] * 1000:.0f} ms",
            f"scikit-learn {b['full']['seconds']['scikit-learn'] * 1000:.0f} ms, the same posterior",
            f"{bayes['ratios']['scikit-learn_full']:.1f}×",
        ],
        *(
            [
                f"a pass of LDA {how}, 50 topics, `ml-1m-strong`",
                f"{a[key]['seconds']['ours'] * 1000:.0f} ms, perplexity after 10: {a[key]['test']['ours']['perplexity']:.0f}",
                f"scikit-learn {s(a[key]['seconds']['scikit-learn'])}, {a[key]['test']['scikit-learn']['perplexity']:.0f}",
                f"{lda['ratios'][f'scikit-learn_{key}']:.1f}×",
            ]
            for key, how in (("batch", "in batch"), ("online", "online"))
        ),
        [
            "a pass of Poisson factorization by coordinate ascent, 50 factors",
            f"{h['seconds']['coordinate'] * 1000:.0f} ms",
            f"hpfrec {h['seconds']['hpfrec'] * 1000:.0f} ms",
            f"{hpf['ratios']['hpfrec_coordinate']:.1f}×",
        ],
        *(
            [
                f"a step of a vector quantizer, {label} codes",
                f"{vq['figures'][shape]['seconds']['ours'] * 1000:.0f} ms",
                f"vector-quantize-pytorch {vq['figures'][shape]['seconds']['vector-quantize-pytorch'] * 1000:.0f} ms",
                f"{vq['ratios'][f'vector-quantize-pytorch {shape}']:.1f}×",
            ]
            for label, shape in (
                ("16,384 × 64 → 1,024", "16384x64->1024"),
                ("32,768 × 128 → 512", "32768x128->512"),
            )
        ),
        *(
            [
                label,
                f"{aevb['figures']['samples_per_second'][name]:,.0f} pictures/s",
                f"pythae {aevb['figures']['samples_per_second']['pythae']:,.0f} pictures/s" if name == "ours" else "",
                _over_rounds(aevb, name),
            ]
            for name, label in (
                (
                    "ours",
                    "training the VAE of AEVB, 784–500–20–500–784, batches of 100; by turns, median round (quartiles)",
                ),
                ("bfloat16", f"the same, products in bfloat16{emulated}"),
                ("compiled", f"compiled (a wait of {aevb['figures']['compiler_seconds']['compiled']:.0f} s before)"),
                ("compiled, bfloat16", f"compiled, products in bfloat16{emulated}"),
            )
        ),
        [
            "",
            "",
            f"the products and Adam alone, float32: {aevb['figures']['samples_per_second']['limit']:,.0f} pictures/s",
            f"{aevb['ratios']['ours, limit']:.2f}×",
        ],
        [
            "an epoch of DiffRec, the split published with it",
            f"{dif['diffrec-ml-1m-clean']['seconds']['epoch']['ours'] * 1000:.0f} ms",
            f"dense PyTorch {s(dif['diffrec-ml-1m-clean']['seconds']['epoch']['dense'])}",
            f"{diffused['ratios']['dense epoch diffrec-ml-1m-clean']:.1f}×",
        ],
        [
            "DiffRec's lists for them, 40 reverse steps",
            s(dif["diffrec-ml-1m-clean"]["seconds"]["lists"]["ours"]),
            f"dense PyTorch {s(dif['diffrec-ml-1m-clean']['seconds']['lists']['dense'])}",
            f"{diffused['ratios']['dense lists diffrec-ml-1m-clean']:.1f}×",
        ],
        [
            "DiffRec's lists, 20,108 items",
            f"{dif['ml-20m-shaped']['seconds']['lists']['ours'] * 1000:.0f} ms for {dif['ml-20m-shaped']['listed']}",
            f"dense PyTorch {s(dif['ml-20m-shaped']['seconds']['lists']['dense'])}",
            f"{diffused['ratios']['dense lists ml-20m-shaped']:.1f}×",
        ],
        [
            "DDIM's own time, 50 steps around one product",
            f"{sampler['figures']['one product']['steps_per_second']['ours']:,.0f} steps/s",
            f"diffusers {sampler['figures']['one product']['steps_per_second']['diffusers']:,.0f} steps/s",
            f"{sampler['ratios']['diffusers one product']:.1f}×",
        ],
        [
            "20 million rows of Parquet with text ids → `Histories`",
            s(d["seconds"]["ours"]),
            f"Polars reads and counts them {s(d['seconds']['polars'])}",
            f"{read['ratios']['polars']:.2f}×",
        ],
    ]
    table = rows_of(["", "foldin", "peer, same run", "faster"], rows)
    kept = (epoch, rec, lists)
    best, own = (", ".join(f"{one[key]:.2f}" for one in kept) for key in ("limit", "limit_torch"))
    # PyTorch's own BLAS is the fastest on some processors, and then there is one limit.
    aside = (
        ""
        if own == best
        else f"; at the rate of PyTorch's own BLAS, which foldin leaves aside on this processor: {own}"
    )
    return (
        f"{table}\n\nShare of the machine's limit (the unavoidable products at the rate of its fastest BLAS) of Mult-VAE, RecVAE "
        f"and recommending: {best}{aside}. {_parts_of(rec)}"
        f"SASRec, at the faster BLAS: {sas['limits']['beauty']:.2f} (Beauty) and {sas['limits']['ml1m']:.2f} (MovieLens-1M); "
        f"{max(t['beauty']['padding'], t['ml1m']['padding']):.1%} of its tokens are filling, and full softmax over 100,000 "
        f"items takes {t['hundred_thousand_items']['peak_gb']:.2f} GB in all. "
        f"Peak memory of the Mult-VAE epoch {e['peak_gb']['ours']:.2f} GB, of reading {d['peak_gb']['ours']:.2f} GB. "
        f"Two threads; ratios depend on the processor, and [which row is of which](measured.md) differs."
    )


def _parts_of(recvae: dict[str, Any]) -> str:
    """Where the seconds of an epoch of RecVAE go."""
    parts: dict[str, float] = recvae["figures"]["parts"]
    whole = sum(parts.values())
    shares = ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in parts.items())
    return f"An epoch of RecVAE, part by part: {shares}. "


def _over_rounds(aevb: dict[str, Any], name: str) -> str:
    """The median of the ratios to pythae round by round, and their quartiles."""
    low, high = aevb["figures"]["ratio_quartiles"][f"{name}, pythae"]
    return f"{aevb['ratios'][f'{name}, pythae']:.1f}× ({low:.1f}–{high:.1f})"


# What was measured, in English and Korean; the result and its key; the peer, in both languages.
IN_SHORT = (
    (
        ("an epoch of Mult-VAE, ML-20M-shaped log", "Mult-VAE 1에폭, ML-20M 크기의 로그"),
        ("multvae_epoch", "dense"),
        ("dense PyTorch", "밀집 PyTorch"),
    ),
    (
        ("an epoch of RecVAE, the same log", "RecVAE 1에폭, 같은 로그"),
        ("recvae_epoch", "dense"),
        ("dense PyTorch", "밀집 PyTorch"),
    ),
    (
        ("an epoch of SASRec, full softmax, MovieLens-1M", "SASRec 1에폭, 전체 소프트맥스, MovieLens-1M"),
        ("sasrec_epoch", "rectools_fast_ml1m"),
        ("RecTools, its fast path", "RecTools의 빠른 경로"),
    ),
    (("an epoch of DiffRec", "DiffRec 1에폭"), ("diffrec_epoch", "dense"), ("dense PyTorch", "밀집 PyTorch")),
    (
        ("a pass of LDA in batch", "LDA 배치 학습, 데이터 1회 순회"),
        ("lda", "scikit-learn_batch"),
        ("scikit-learn", "scikit-learn"),
    ),
    (
        ("an iteration of a Gaussian mixture", "가우스 혼합 모델 EM 1회 반복"),
        ("gaussian_mixture", "scikit-learn_full"),
        ("scikit-learn", "scikit-learn"),
    ),
    (
        ("a pass of Poisson factorization", "푸아송 분해, 데이터 1회 순회"),
        ("poisson", "hpfrec_coordinate"),
        ("hpfrec", "hpfrec"),
    ),
    (
        (
            "a step of a vector quantizer, 32,768 × 128 → 512 codes",
            "벡터 양자화 1스텝, 32,768 × 128 → 코드 512개",
        ),
        ("quantize", "vector-quantize-pytorch 32768x128->512"),
        ("vector-quantize-pytorch", "vector-quantize-pytorch"),
    ),
    (
        ("top-100 lists for all users", "모든 사용자의 상위 100개 목록"),
        ("recommend_all", "implicit"),
        ("implicit, 128 factors", "implicit, 인자 128개"),
    ),
)


def speed_in_short(language: int = 0) -> str:
    """One line a subject, from the kept results of the benchmarks; in Korean with language 1."""
    rows = [
        [what[language], peer[language], f"{load(f'benchmarks/results/{name}.json')['ratios'][key]:.1f}×"]
        for what, (name, key), peer in IN_SHORT
    ]
    return rows_of([["", "peer", "times as fast"], ["", "비교 대상", "몇 배 빠른가"]][language], rows)


def speed_in_short_in_korean() -> str:
    """The same for the Korean README: how many times as fast as the peer."""
    return speed_in_short(language=1)


def against_commit() -> str:
    """The code before its reorganization and after it, by turns."""
    result = load("benchmarks/results/against_commit.json")
    named = {
        "multvae": "an epoch of Mult-VAE",
        "recvae": "an epoch of RecVAE",
        "sasrec": "an epoch of SASRec",
        "service": "a request of the service",
    }
    told = (
        f"{named[name]} {one['ratio']:.3f} ({one['interval'][0]:.3f} to {one['interval'][1]:.3f})"
        for name, one in result["figures"].items()
    )
    return (
        f"Times of the code at `{result['commit']}` over those of `{result['settings']['earlier']}`, before models, trainers and "
        f"rankers were separated, {result['settings']['pairs']} pairs by turns, with 95 % intervals: {'; '.join(told)}."
    )

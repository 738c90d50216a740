"""What a service went through, what a search found, and what was run by which Python."""

from tables.base import cell, load, rows_of

__all__ = ["pythons", "served", "tuned"]


def served() -> str:
    """The service under load and under faults."""
    result, faults = load("benchmarks/results/serve_load.json"), load("benchmarks/results/serve_faults.json")["figures"]
    ours, soak = result["figures"]["ours"], result["figures"]["soak"]
    several = ""
    if "workers" in result["figures"]:
        count, rate = result["settings"]["workers"], result["figures"]["workers"]["per_second"]
        share = result["ratios"]["one worker"]
        several = f" With `--workers {count}`: {rate:,.0f} lists a second, {share:.2f} of those of one worker."
    kills = ", ".join(
        f"{faults[name]['acknowledged_events']:,} acknowledged events on {title}"
        for name, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL"))
        if name in faults
    )
    return (
        f"A RecVAE of MovieLens-1M, 64 clients on the same two cores, histories of 50: {ours['per_second']:,.0f} lists a second, "
        f"p50 {ours['p50_ms']:.0f} ms, p99 {ours['p99_ms']:.0f} ms; {result['ratios']['bare']:.2f} of a bare FastAPI application "
        f"that parses and returns as much.{several} In {soak['seconds'] / 60:.0f} minutes of it, {soak['requests']:,} lists, "
        f"its memory went from {soak['resident_mb'][0]:.0f} to {soak['resident_mb'][-1]:.0f} MB. "
        f"SIGKILL under write load, {faults['sqlite']['kills']} times on each database: "
        f"{kills}, none lost, none doubled. {faults['hypothesis']['requests']:,} requests of a fuzzer without a 500."
    )


def tuned() -> str:
    """What a search from the defaults finds, beside settings chosen by hand."""
    result = load("reproductions/results/tuning.json")
    rows = [
        [
            f"`{name}`",
            f"{one['minutes']:g}",
            f"{one['trials']}",
            f"{one['start']:.3f}",
            f"{one['validation']:.3f}",
            cell(one["test"]),
            f"{one['by_hand']:.3f}",
            f"{one['difference']:+.3f}",
        ]
        for name, one in result["figures"].items()
    ]
    head = [
        "model",
        "minutes",
        "trials",
        "defaults, validation",
        "best, validation",
        "test",
        "by hand, test",
        "difference",
    ]
    return rows_of(head, rows)


def pythons() -> str:
    """What was run by each version of Python."""
    kept = load("docs/pythons.json")
    rows = [
        [version, one["pins"], one["source"], one["fast tests"]]
        for version, one in sorted(
            kept["versions"].items(), key=lambda pair: [int(part) for part in pair[0].split(".")]
        )
    ]
    return rows_of(["Python", "`constraints.txt`", "source", "fast tests"], rows)

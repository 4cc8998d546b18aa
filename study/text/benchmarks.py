"""The benchmarks' rows (`python -m benchmarks`) as tables for a page."""

from typing import Any

from study.records import store
from study.records.schema import BENCH as PREFIX
from study.text.escape import plain


def values(rows: list[dict]) -> dict[str, dict]:
    """What each benchmark found, by its name; of several runs, the last."""
    found = {r["experiment"]: r["value"] for r in rows if r["experiment"].startswith(PREFIX)}
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def table(rows: list[dict]) -> str:
    """Markdown: each speed against plain PyTorch, its goal, and whether it is met."""
    # Three columns, so that a phone shows them all.
    lines = ["| measured | plain → ours | ratio |", "|---|---|---|"]
    for name, value in values(rows).items():
        if "plain" not in value:
            continue
        ratio = value["plain"] / value["ours"]
        says = f"**{plainly(ratio)}x**"
        if "goal" in value:
            met = "met" if ratio >= value["goal"] else "missed"
            says += f"<br>goal {plainly(value['goal'])}x, {met}"
        if "limit" in value:
            says += f"<br>limit {value['limit']:.3g}x"
        times = f"{duration(value['plain'])} → {duration(value['ours'])}"
        lines.append(f"| **{plain(name)}**<br>{plain(value['note'])} | {times} | {says} |")
    return "\n".join(lines)


def facts(rows: list[dict]) -> str:
    """Markdown: numbers that are no times, exactness, memory and rounding."""
    lines, found = ["| | |", "|---|---|"], values(rows)
    for what, distance in found.get("exactness", {}).items():
        said = f"sum over all lengths, {plain(what)}: relative distance"
        lines.append(f"| {said} | {distance:.1e} |")
    if cut := found.get("exact cut"):
        beyond = f"beyond {cut['max_length']} modules"
        lines.append(
            f"| paths {beyond}, together, relative to the whole | {cut['discarded']:.1e} |"
        )
    if memory := found.get("memory"):
        for name, what in (("new", "held by the exact method"), ("peak", "of its whole process")):
            lines.append(f"| memory {what}, 32 images | {memory[f'{name}_bytes'] / 1e9:.2f} GB |")
    if half := found.get("single deletions, mixed precision"):
        for name in ("intact", "lesioned"):
            if f"points_{name}" in half:
                images = f"{half[f'images_{name}']:,} images"
                moved = f"{half[f'points_{name}']:+.3f} points"
                lines.append(f"| bfloat16 moves the error, {name}, {images} | {moved} |")
    return "\n".join(lines)


def growth(rows: list[dict]) -> dict[str, Any]:
    """How cost grows: "modules", "images" and "variants", each a table for `figures.growth`."""
    prefix = "growth with "
    return {
        name.removeprefix(prefix): value
        for name, value in values(rows).items()
        if name.startswith(prefix)
    }


def provenance(rows: list[dict]) -> str:
    """Where the numbers come from: a line for each commit they were measured at."""
    last = {r["experiment"]: r for r in rows if r["experiment"].startswith(PREFIX)}
    commits: dict[str, list[dict]] = {}
    for r in last.values():
        commits.setdefault(r["code"]["commit"], []).append(r)
    return "<br>".join(
        f"{'; '.join(plain(r['experiment'].removeprefix(PREFIX)) for r in found)}: "
        f"{found[0]['config']['repeats']} repeats, {found[0]['config']['threads']} threads, torch "
        f"{plain(found[0]['versions']['torch'])}; {store.provenance(found[0]).partition(' of ')[2]}"
        for found in commits.values()
    )


def duration(seconds: float) -> str:
    """Seconds in a unit that a person would choose: 0.00066 is "0.66 ms", 7,722 is "2.15 h"."""
    for unit, size, least in (("h", 3600, 7200), ("min", 60, 120), ("s", 1, 1)):
        if seconds >= least:
            return f"{plainly(seconds / size)} {unit}"
    return f"{plainly(1000 * seconds)} ms"


def plainly(ratio: float) -> str:
    """Three digits, without a power of ten."""
    return f"{float(f'{ratio:.3g}'):,.10g}"

"""The benchmarks' rows (`python -m tests.benchmarks`) as tables for a page."""

from helpers import results

PREFIX = "bench "


def values(rows: list[dict]) -> dict[str, dict]:
    """What each benchmark found, by its name; of several runs, the last."""
    found = {r["experiment"]: r["value"] for r in rows if r["experiment"].startswith(PREFIX)}
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def table(rows: list[dict]) -> str:
    """Markdown: each speed against plain PyTorch, its goal, and whether it is met."""
    lines = ["| measured | plain | ours | ratio | goal |", "|---|---|---|---|---|"]
    for name, value in values(rows).items():
        if "plain" not in value:
            continue
        ratio = value["plain"] / value["ours"]
        goal = ""
        if "goal" in value:
            goal = f"{plainly(value['goal'])}x, {'met' if ratio >= value['goal'] else 'missed'}"
        if "limit" in value:
            goal += f"; limit {value['limit']:.3g}x"
        lines.append(
            f"| **{name}**<br>{value['note']} | {duration(value['plain'])} "
            f"| {duration(value['ours'])} | **{plainly(ratio)}x** | {goal.removeprefix('; ')} |"
        )
    return "\n".join(lines)


def facts(rows: list[dict]) -> str:
    """Markdown: numbers that are no times, exactness, memory and rounding."""
    lines, found = ["| | |", "|---|---|"], values(rows)
    for what, distance in found.get("exactness", {}).items():
        lines.append(f"| sum over all lengths, {what}: relative distance | {distance:.1e} |")
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


def growth(rows: list[dict]) -> dict[str, list[dict]]:
    """How cost grows: "modules", "images" and "variants", each a table for `figures.growth`."""
    prefix = "growth with "
    return {
        name.removeprefix(prefix): value
        for name, value in values(rows).items()
        if name.startswith(prefix)
    }


def provenance(rows: list[dict]) -> str:
    """Where the numbers come from, in a line."""
    last = [r for r in rows if r["experiment"].startswith(PREFIX)][-1]
    of_run = f"{last['config']['repeats']} repeats, {last['config']['threads']} threads, torch "
    return f"{results.provenance(last)}; {of_run}{last['versions']['torch']}"


def duration(seconds: float) -> str:
    """Seconds in a unit that a person would choose: 0.00066 is "0.66 ms", 7,722 is "2.1 h"."""
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * size:
            return f"{plainly(seconds / size)} {unit}"
    return f"{plainly(1000 * seconds)} ms"


def plainly(ratio: float) -> str:
    """Three digits, without a power of ten."""
    return f"{float(f'{ratio:.3g}'):,.10g}"

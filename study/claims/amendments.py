"""How the rules were amended, when and why; what they said before stays readable."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Amendment:
    """A change to the rules of some claims: what they say now, what they said before, and why."""

    date: str
    claims: tuple[str, ...]
    says: str
    reason: str
    before: Mapping[str, str] = field(default_factory=dict)


FIRST = "2026-11-25"
LESIONS = ("B3", "B4", "B5", "B6", "B7", "B8")
TRAINED = ("B1", *LESIONS, "B9", "B10", "B11", "B12", "B13", "L2", "L3")

# By number.
AMENDMENTS = {
    1: Amendment(
        FIRST,
        TRAINED,
        "A fifth verdict, *undecided*. A claim about a trained network is judged only from "
        "networks trained to the paper's quality, whose own test error is at most 7.6%, the "
        "paper's 6.10% and 1.5 points; with stochastic depth, 23 of 54 modules or another "
        "variant, the control of the same recipe must meet it. All networks of a recipe must: "
        "none is chosen. Otherwise the claim is undecided, and the measured numbers stand "
        "beside that.",
        "All seven failures among the claims B came from networks that had done 2 to 9% of the "
        "paper's training. It favours neither side: B9 to B11, reproduced on such a network, "
        "become undecided as well.",
        dict.fromkeys(TRAINED, "judged from the longest training recorded, of any test error"),
    ),
    2: Amendment(
        FIRST,
        ("B12",),
        "By equivalence. Reproduced: the means differ by at most 0.5 points, or the 95% "
        "confidence interval of the difference (Welch, at least 3 seeds each) lies within 1.0 "
        "point of zero. Not reproduced: that interval excludes all differences up to 0.5 "
        "points. Else undecided, with the number of seeds it would take.",
        '"p > 0.05" lets any difference pass when seeds are few and scattered.',
        {"B12": "means differ by <= 0.5 pt, or Welch p > 0.05 over >= 3 seeds each"},
    ),
    3: Amendment(
        FIRST,
        ("B14",),
        "The network must have learned: its error is within 5 points of the residual network's "
        "by the same recipe, and the gates moved by more than weight decay alone would have "
        "moved them (a run without a loss, by weight decay only, is the comparison). Else "
        "undecided.",
        "Gates that ended where weight decay takes them say nothing about a preference.",
        {"B14": "trained: mean transfer gate < 0.5 in more than half of the layers"},
    ),
    4: Amendment(
        FIRST,
        ("B3", "B4"),
        "The result names the shortcut: the verdict is given for both kinds, parameter-free and"
        " 1x1 projections; the headline counts the parameter-free one.",
        "What a deletion costs may depend on the kind of shortcut.",
        dict.fromkeys(("B3", "B4"), "judged with parameter-free shortcuts alone"),
    ),
    5: Amendment(
        FIRST,
        LESIONS,
        "From at least 3 networks (median over networks, range shown), on all 10,000 test "
        "images for single deletions, on at least 2,000 for sweeps of 50 draws. The sets of B5 "
        "are nested: one order of removal a draw, and its beginnings.",
        "With 50 independent sets a number, a truth that never falls would pass B5 in 0.5% of "
        "studies.",
        dict.fromkeys(
            LESIONS, "judged from one network or the mean of several, images as they are"
        ),
    ),
    6: Amendment(
        FIRST,
        ("B12",),
        "Judged at the longest training that both kinds were given with 3 seeds. If the gap "
        "there is less than half of the gap at a third of that length, it is still closing: "
        "undecided, with the trend; so it is without a gap at a third. The gap at equal compute"
        " is told beside it.",
        "Each module of the 23-of-54 network gets 43% of the updates, so that at a shortened "
        "schedule it is the one cut shorter.",
    ),
    7: Amendment(
        FIRST,
        (),
        "Counts in headlines are split, into arithmetic, experiments and related papers, and "
        "never added up.",
        "An identity and an experiment are not the same kind of evidence.",
    ),
}


def of(claim: str) -> list[int]:
    """The numbers of the amendments to a claim's rule."""
    return [number for number, amendment in AMENDMENTS.items() if claim in amendment.claims]


def told() -> str:
    """All amendments as a list in Markdown, with the former wording."""
    lines = []
    for number, amendment in AMENDMENTS.items():
        about = f" ({', '.join(amendment.claims)})" if amendment.claims else ""
        former: dict[str, list[str]] = {}
        for claim, rule in amendment.before.items():
            former.setdefault(rule, []).append(claim)
        before = "; ".join(f"{', '.join(ids)}: {rule}" for rule, ids in former.items())
        lines.append(
            f"{number}. *{amendment.date}*{about}: {amendment.says} *Reason*: {amendment.reason}"
            + (f" *Before*: {before}." if before else "")
        )
    return "\n".join(lines)

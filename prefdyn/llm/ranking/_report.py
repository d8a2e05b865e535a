"""The report of a ranking, in Markdown: what will happen, which pairs are worst, who gains."""

from typing import Any

from prefdyn.llm.ranking._ranked import LINEAR

WIDTH = 60
"""Characters of a text that are shown."""
Summary = dict[str, Any]
Texts = dict[int, tuple[str, ...]]


def report(summary: Summary, texts: Texts) -> str:
    """The summary of `rank_file`, with prompt, chosen and rejected of the worst pairs."""
    parts = [_head(summary), _movements(summary), _worst(summary, texts), _gains(summary)]
    parts += [_scores(summary), _pushing(summary), _kept(summary)]
    return "\n\n".join(part for part in parts if part) + "\n"


def shortened(text: str, width: int = WIDTH) -> str:
    """A text on one line, its middle left out where it is long."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    half = (width - 3) // 2
    return f"{line[:half]} … {line[-half:]}"


def _head(s: Summary) -> str:
    given = ", ".join(f"{name} = {value}" for name, value in s["objective"]["parameters"].items())
    lines = [
        "# Which pairs will hurt",
        "",
        f"{s['pairs']:,} pairs of {s['data']}: what one step of gradient descent on "
        f"{s['objective']['id']}{given and f' ({given})'} will do, to first order.  Adam and "
        "its like take steps of another size and, in part, of another direction (claim KER-7).",
    ]
    if s["skipped"]:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in s["skipped"].items())
        lines.append(f"Left out: {reasons}.")
    return "\n".join(lines)


def _movements(s: Summary) -> str:
    low, middle, high = s["chosen_rate"]
    together, step = s["in_batches"], s["step"]
    lines = [
        f"- {s['chosen_falls']:.1%} of the chosen responses fall under a step on their own pair.",
        f"- {together['chosen_falls']:.1%} fall under a step on their batch of {s['batch']}: "
        f"{together['although_rising_alone']:.1%} fall there although they rise alone, and "
        f"{together['although_falling_alone']:.1%} rise there although they fall alone.",
        "- Chosen responses move at these rates, in nats per unit of learning rate: "
        f"{low:.4g} (5th percentile), {middle:.4g} (median), {high:.4g} (95th).",
    ]
    if s["greedy_rises"] is not None:
        lines.append(
            f"- The model's own greedy continuation of the prompt rises in {s['greedy_rises']:.1%} "
            "of the steps."
        )
    if step is not None:
        lines.append(
            f"- At a learning rate of {s['rate']:g} that is {step['median']:+.3g} nats a step in "
            f"the median and {step['worst']:+.3g} at worst; {step['beyond_linear']:.1%} of the "
            f"pairs move by more than {LINEAR} nats, too far for first order."
        )
    rows = [[kind, f"{share:.1%}"] for kind, share in s["kinds"].items()]
    table = _table(["movement", "share of pairs"], rows)
    return "\n".join(["## What will happen", "", *lines, "", table])


def _worst(s: Summary, texts: Texts) -> str:
    head = ["rank", "line", "chosen", "rejected", "chosen in its batch", "gains most"]
    rows, quoted = [], []
    for pair in s["worst"]:
        rates = (pair[name] for name in ("chosen_rate", "rejected_rate", "batch_chosen_rate"))
        gains = (f"{_code(gain['text'])} {gain['share']:.0%}" for gain in pair["gains"][:3])
        rows.append(
            [pair["rank"], pair["line"], *(f"{rate:.4g}" for rate in rates), ", ".join(gains)]
        )
        prompt, chosen, rejected = (shortened(text) for text in texts[pair["line"]])
        quoted += [
            f"- Line {pair['line']}: {_code(prompt)}",
            f"  - chosen {_code(chosen)}",
            f"  - rejected {_code(rejected)}",
        ]
    return "\n".join(
        [
            f"## The worst pairs by {s['by'].replace('_', ' ')}",
            "",
            "Rates in nats per unit of learning rate.  Gains are next tokens where chosen and "
            "rejected part, with their share of the probability gained there.",
            "",
            _table(head, rows),
            "",
            *quoted,
        ]
    )


def _gains(s: Summary) -> str:
    if not s["gaining_tokens"]:
        return ""
    rows = [[_code(row["text"]), f"{row['share']:.1%}"] for row in s["gaining_tokens"]]
    return "\n".join(
        [
            "## Who gains",
            "",
            "The next token that gains most probability where chosen and rejected part:",
            "",
            _table(["token", "share of pairs"], rows),
        ]
    )


def _scores(s: Summary) -> str:
    rows = [
        [name.replace("_", " "), "does not vary" if rho is None else f"{rho:+.2f}"]
        for name, rho in s["correlations"].items()
    ]
    return "\n".join(
        [
            "## Cheaper scores",
            "",
            "Rank correlation with the predicted fall of the chosen response.  A score that does "
            "no better than the length difference knows no more than the lengths.",
            "",
            _table(["score", "Spearman's rho"], rows),
        ]
    )


def _pushing(s: Summary) -> str:
    if not s["pushing"]:
        return ""
    rows = [[row["line"], f"{row['effect_on_others']:.4g}"] for row in s["pushing"]]
    return "\n".join(
        [
            "## Pairs that push the others down",
            "",
            "What a step on the pair does to the other chosen responses of its batch, on average:",
            "",
            _table(["line", "nats per unit of learning rate"], rows),
        ]
    )


def _kept(s: Summary) -> str:
    if s["kept"] is None:
        return ""
    return (
        "## The filtered data set\n\n"
        f"{s['kept']:,} of {s['pairs']:,} pairs, unchanged and in their order: "
        f"{s['files']['kept']}."
    )


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _code(text: str) -> str:
    """A text from a file as code, harmless in tables and paragraphs."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"`{shown.replace('`', chr(39)).replace('|', chr(92) + '|')}`"

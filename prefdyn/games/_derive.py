"""How the numbers in ``games/data`` were counted: ``python -m prefdyn.games._derive FOLDER``.

FOLDER holds the sources: ``pandalm_testset_v1.json`` (github.com/WeOpenML/PandaLM),
``minneapolis_ward2_2021_pairwise.json`` (pairwise counts of the public cast vote record) and
``dueling_*.txt`` (github.com/jkomiyama/duelingbanditlib).
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from prefdyn._errors import InputError
from prefdyn.games.matrix_file import load_matrix
from prefdyn.games.votes import Vote, count_votes, group_by_prompt

DATA = Path(__file__).parent / "data"
MODELS = ("llama-7b", "pythia-6.9b", "bloom-7b", "opt-7b", "cerebras-gpt-6.7B")
ANNOTATORS = (1, 2, 3)


def pandalm_votes(records: Iterable[Mapping[str, Any]], annotator: int) -> list[Vote]:
    """Votes of one annotator of the PandaLM test set, one per record.

    ``cmp_key`` names the two models as ``first_second``; the annotation is 1 or 2 for the better
    response and 0 for a tie. A prompt is the instruction with its input, numbered in the order of
    first appearance.
    """
    prompts: dict[tuple[str, str], int] = {}
    votes = []
    for record in records:
        text = (record["instruction"], record["input"])
        prompt = str(prompts.setdefault(text, len(prompts)))
        first, second = record["cmp_key"].split("_")
        verdict = record[f"annotator{annotator}"]
        if verdict not in (0, 1, 2):
            raise InputError(f"record {record['idx']} has the annotation {verdict!r}, not 0, 1, 2.")
        winner, loser = (second, first) if verdict == 2 else (first, second)
        votes.append(Vote(winner, loser, 1.0, prompt, tie=verdict == 0))
    return votes


def wins_in_order(votes: list[Vote], names: tuple[str, ...]) -> np.ndarray:
    """Win counts (K, K) with the responses in the given order."""
    wins, found = count_votes(votes)
    order = [found.index(name) for name in names]
    return wins[np.ix_(order, order)]


def main(folder: Path) -> None:
    """Count the sources in `folder` into the data files of the package."""
    records = json.loads((folder / "pandalm_testset_v1.json").read_text())
    by_annotator = [pandalm_votes(records, annotator) for annotator in ANNOTATORS]
    _write(
        "pandalm",
        names=list(MODELS),
        wins=[wins_in_order(votes, MODELS).tolist() for votes in by_annotator],
        source="PandaLM test set (arXiv 2306.05087), human votes on five LLMs",
        licence="Apache-2.0",
        how="999 comparisons on 170 prompts; one matrix per annotator; a tie is half a win each",
    )
    _write_prompts([vote for votes in by_annotator for vote in votes])
    ballots = json.loads((folder / "minneapolis_ward2_2021_pairwise.json").read_text())
    _write(
        "minneapolis",
        names=ballots["candidates"],
        wins=ballots["wins"],
        source="Minneapolis 2021 municipal election, Ward 2, cast vote record",
        licence="public record",
        how=f"{ballots['ballots']} ballots; a ranked candidate beats an unranked one; "
        "a pair of unranked candidates is not counted",
    )
    for name, what in (
        ("arxiv", "interleaving of six rankers on arXiv search, two decimals"),
        ("cyclic", "weak Condorcet winner (0.6) above a strong rock-paper-scissors (0.9)"),
        ("arithmetic", "eight ranked responses, win rates in equal steps of 0.05"),
    ):
        _write(
            name,
            P=load_matrix(folder / f"dueling_{name}.txt").P.tolist(),
            source=f"github.com/jkomiyama/duelingbanditlib, {name}",
            licence="MIT",
            how=f"{what}; matrix as published, no counts",
        )


def _write_prompts(votes: list[Vote]) -> None:
    """All annotators' votes by prompt, counted, as a vote file.

    Prompts whose comparisons fall into unlinked groups of models are no game and are left out.
    """
    lines = ["prompt,winner,loser,count,tie"]
    for prompt, group in group_by_prompt(votes).items():
        if not _linked(group):
            continue
        tally = Counter(
            (*(sorted(vote[:2]) if vote.tie else vote[:2]), str(vote.tie).lower()) for vote in group
        )
        lines += [f"{prompt},{w},{v},{n},{tie}" for (w, v, tie), n in sorted(tally.items())]
    (DATA / "pandalm_prompts.csv").write_text("\n".join(lines) + "\n")


def _linked(votes: list[Vote]) -> bool:
    wins, _ = count_votes(votes)
    return connected_components(wins + wins.T, directed=False)[0] == 1


def _write(name: str, **entry: Any) -> None:
    text = json.dumps(entry, indent=1)
    (DATA / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Built-in games measured on people and on machines, each with its source.

Counts and matrices are in ``games/data`` with source and licence; `prefdyn.games._derive` is how
they were computed.
"""

from pathlib import Path

from prefdyn._errors import InputError
from prefdyn.games.matrix import PreferenceMatrix
from prefdyn.games.matrix_file import load_matrix
from prefdyn.games.votes import load_votes

DATA = Path(__file__).parent / "data"


def pandalm(annotator: int | None = None, prior: float = 0.5) -> PreferenceMatrix:
    """Five instruction-tuned LLMs judged by people: the PandaLM test set (arXiv 2306.05087).

    999 comparisons on 170 prompts by each of three annotators, ties as half wins. The order is
    transitive: llama, pythia, bloom, opt, cerebras; pythia and bloom are nearly even.

    Parameters
    ----------
    annotator : {1, 2, 3}, optional
        Count the votes of one annotator; by default those of all three are added up, which
        treats three opinions on the same comparison as three votes.
    prior : float
        Pseudo-count of `PreferenceMatrix.from_wins`.
    """
    each = load_matrix(DATA / "pandalm.json", prior)
    if annotator is not None and annotator not in (1, 2, 3):
        raise InputError(f"annotator = {annotator!r} is not known; choose 1, 2 or 3.")
    if each.counts is None:
        raise AssertionError("pandalm.json holds win counts")
    wins = each.counts.sum(axis=0) if annotator is None else each.counts[annotator - 1]
    who = "three annotators pooled" if annotator is None else f"annotator {annotator}"
    return PreferenceMatrix.from_wins(wins, prior, each.names, f"{each.source}, {who}")


def pandalm_prompts(prior: float = 0.5) -> dict[str, PreferenceMatrix]:
    """The PandaLM votes as one game per prompt, over the models that its votes compare.

    Up to three votes per pair: a real file of many small, uncertain games.
    """
    return load_votes(DATA / "pandalm_prompts.csv", prior, per_prompt=True)


def minneapolis(prior: float = 0.5) -> PreferenceMatrix:
    """A human Condorcet cycle: five candidates on 9,799 ranked ballots, Minneapolis 2021, Ward 2.

    Arab beats Gordon (0.513) beats Worlobah (0.505) beats Arab (0.501); the last edge is inside
    the sampling noise, which `PreferenceMatrix.draw` and ``bootstrap`` show.
    """
    return load_matrix(DATA / "minneapolis.json", prior)


def arxiv() -> PreferenceMatrix:
    """Six rankers of arXiv search compared by interleaving; no counts were published."""
    return load_matrix(DATA / "arxiv.json")


def cyclic() -> PreferenceMatrix:
    """A weak Condorcet winner (0.6) above a strong rock-paper-scissors (0.9); synthetic."""
    return load_matrix(DATA / "cyclic.json")


def arithmetic() -> PreferenceMatrix:
    """Eight ranked responses with win rates in equal steps of 0.05; synthetic."""
    return load_matrix(DATA / "arithmetic.json")

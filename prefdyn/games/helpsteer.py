r"""Games from scored responses, by the HelpSteer protocol of arXiv 2602.12180.

Each prompt has several responses, each scored on several attributes with integers 0-4. For every
*pair* of responses one attribute is drawn at random, and

.. math:: P_{ij} = \sigma(\mathrm{score}_i - \mathrm{score}_j).

Different pairs are judged on different attributes, which is what makes cycles (MRS-16).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefdyn._errors import InputError
from prefdyn._inputs import count
from prefdyn.games.matrix import PreferenceMatrix, Seed
from prefdyn.games.structure import contains_cycle, is_strongly_transitive

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
TOP_SCORE = 4


class Collections(NamedTuple):
    """Games sorted by structure; a strictly transitive game is in the weak collection too."""

    cyclic: PreferenceMatrix
    strongly_transitive: PreferenceMatrix
    strictly_strongly_transitive: PreferenceMatrix


def games_from_scores(scores: ArrayLike, rng: Seed) -> PreferenceMatrix:
    """One game per prompt from the scores of its responses.

    Parameters
    ----------
    scores : array_like, shape (n, K, attributes)
        Scores of K responses to each of n prompts.
    rng : numpy.random.Generator or int
        Draws the attribute of each pair; a seed for one.

    Returns
    -------
    PreferenceMatrix, batch shape (n,)

    Raises
    ------
    InputError
        If the scores have another shape or are not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 3 or not np.isfinite(table).all():
        raise InputError(
            f"scores must be finite numbers of shape (prompts, responses, attributes), "
            f"not of shape {table.shape}."
        )
    n, K, attributes = table.shape
    rows, columns = np.triu_indices(K, 1)
    chosen = np.random.default_rng(rng).integers(attributes, size=(n, rows.size))
    prompt = np.arange(n)[:, None]
    gap = table[prompt, rows, chosen] - table[prompt, columns, chosen]
    A = np.zeros((n, K, K))
    A[:, rows, columns] = 0.5 * np.tanh(0.5 * gap)  # sigma(gap) - 1/2
    return PreferenceMatrix(
        0.5 + A - A.swapaxes(1, 2), source="scored responses, one random attribute per pair"
    )


def collections(games: PreferenceMatrix) -> Collections:
    """Pick the cyclic and the strongly transitive games out of a batch.

    *Cyclic* games contain three responses that strictly beat one another in a ring; *strongly
    transitive* ones have rows that dominate one another, weakly (integer scores tie often) or
    strictly. Many games are neither.

    Parameters
    ----------
    games : PreferenceMatrix, batch shape (n,)
    """
    return Collections(
        games[contains_cycle(games, length=3)],
        games[is_strongly_transitive(games)],
        games[is_strongly_transitive(games, strict=True)],
    )


def synthetic_scores(n: int, rng: Seed, K: int = 4, attributes: int = 5) -> NDArray[np.int64]:
    """Made-up scores with the rough shape of human ones: a stand-in, not the HelpSteer data.

    Every response has a quality drawn from N(2.7, 0.8); every attribute is the quality plus
    N(0, 0.7), rounded and clipped to 0-4.

    Parameters
    ----------
    n : int
        Number of prompts.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed for one.
    K, attributes : int
        Responses per prompt and attributes per response.

    Returns
    -------
    ndarray of int, shape (n, K, attributes)
    """
    shape = (count(n, "n"), count(K, "K", least=2), count(attributes, "attributes"))
    rng = np.random.default_rng(rng)
    quality = rng.normal(2.7, 0.8, size=shape[:2])
    scores = quality[..., None] + rng.normal(0, 0.7, size=shape)
    return np.clip(np.rint(scores), 0, TOP_SCORE).astype(np.int64)


def load_helpsteer(path: str = "nvidia/HelpSteer", split: str = "train") -> NDArray[np.int64]:
    """Scores of the HelpSteer data set (arXiv 2311.09528), read by the ``datasets`` library.

    Parameters
    ----------
    path : str
        Name or local folder, as for ``datasets.load_dataset``.
    split : str
        Split to read.

    Returns
    -------
    ndarray of int, shape (n, 4, 5)
        Of the prompts with exactly four responses.

    Raises
    ------
    InputError
        If the library is not installed, or the data cannot be loaded or are not as expected.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(
            "HelpSteer needs the datasets library; install prefdyn[data], "
            "or use synthetic_scores(n, rng) as a stand-in."
        ) from None
    try:
        rows = load_dataset(path, split=split)
    except Exception as error:  # the library raises many kinds when data or network are missing
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")
        raise InputError(
            f"{path!r} could not be loaded ({reason}); give the path of a local copy, "
            "or use synthetic_scores(n, rng) as a stand-in."
        ) from error
    return scores_by_prompt(rows)  # pyright: ignore[reportArgumentType] -- dicts, of one split


def scores_by_prompt(rows: Iterable[Mapping[str, Any]], K: int = 4) -> NDArray[np.int64]:
    """Collect the scores of the prompts that have exactly K responses.

    Parameters
    ----------
    rows : iterable of mappings
        Each with ``prompt`` and the five `ATTRIBUTES`, integers 0-4, one row per response.
    K : int
        Number of responses per prompt.

    Returns
    -------
    ndarray of int, shape (n, K, 5), prompts in order of first appearance

    Raises
    ------
    InputError
        Naming the row that lacks a column or has a score outside 0-4; or if no prompt has K rows.
    """
    by_prompt: dict[str, list[list[int]]] = {}
    for number, row in enumerate(rows):
        scores = [_score(row, attribute, number) for attribute in ATTRIBUTES]
        if "prompt" not in row:
            raise InputError(f"row {number} has no prompt; each response must name its prompt.")
        by_prompt.setdefault(row["prompt"], []).append(scores)
    complete = [scores for scores in by_prompt.values() if len(scores) == K]
    if not complete:
        raise InputError(f"no prompt has exactly {K} scored responses; check the data or K.")
    return np.array(complete, dtype=np.int64)


def _score(row: Mapping[str, Any], attribute: str, number: int) -> int:
    score = row.get(attribute)
    if score is None or score not in range(TOP_SCORE + 1):
        raise InputError(
            f"row {number} has {attribute} = {score!r}; scores are the integers 0 to {TOP_SCORE}."
        )
    return int(score)

"""The text that the shipped language model was trained on: a grammar of stories and questions.

A document is a short story, a few statements about the world and about words, or a talk of
questions and answers.  ``[symbol]`` in a template is expanded by one of the symbol's templates,
``{name}`` is filled with what the document has drawn for it: the same hero does and feels all
that happens in a story, and what a question asks decides how likely each answer is.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

import numpy as np

from prefdyn.llm.little import _words as words

BEGIN, END, PAD = "<s>", "</s>", "<pad>"
"""Special tokens; ``END`` stands in the text itself, after a document and after each answer."""

ANSWERS: Mapping[str, Mapping[str, float]] = {
    "yes": {"Yes": 8, "Yeah": 3.5, "Sure": 2.5, "Certainly": 2},
    "no": {"No": 8, "Never": 3, "Nope": 2.5, "Not at all": 1},
    "unsure": {"Maybe": 3, "Perhaps": 2},
    "willing": {"Sure": 6, "Yes": 4, "Certainly": 4, "Yeah": 1},
    "not ever": {"Never": 6, "No": 5, "Nope": 1.5, "Not at all": 1},
}
"""Answer words that mean the same, with their relative frequencies."""

SURE = {"right": 0.82, "unsure": 0.1, "wrong": 0.08}
"""How often a question of fact is answered rightly."""

STORIES = 0.45
STATEMENTS = 0.1
"""Shares of the documents; the rest are talks."""

Choice = TypeVar("Choice")


def documents(seed: int) -> Iterator[str]:
    """Give documents without end; the same seed gives the same ones.

    Parameters
    ----------
    seed
        Seed of numpy's default generator.

    Yields
    ------
    str
        A document, which ends with `END`.
    """
    rng = np.random.default_rng(seed)
    while True:
        kind = rng.random()
        if kind < STORIES:
            yield story(rng) + END
        elif kind < STORIES + STATEMENTS:
            yield statements(rng) + END
        else:
            yield talk(rng)


def story(rng: np.random.Generator) -> str:
    """Give a short story; what was drawn for it stays the same from sentence to sentence."""
    hero, friend = rng.choice(len(words.PEOPLE), 2, replace=False)
    name, kind = words.PEOPLE[hero]
    he, him, his = ("he", "him", "his") if kind == "boy" else ("she", "her", "her")
    place, at = _pick(rng, words.PLACES)
    thing = _pick(rng, words.THINGS)
    return _expand(
        rng,
        "[story]",
        {
            "hero": name,
            "friend": words.PEOPLE[friend][0],
            "kind": kind,
            "he": he,
            "He": he.capitalize(),
            "him": him,
            "his": his,
            "His": his.capitalize(),
            "place": place,
            "at": at,
            "thing": thing,
            "pet": _pick(rng, words.PETS),
            "food": _pick(rng, words.FOODS),
            "size": _pick(rng, ("little", "big", "small", "tiny", "large")),
            "colour": _pick(rng, words.COLOURS),
            "family": _pick(rng, ("mom", "dad", "grandma")),
        },
    )


def statements(rng: np.random.Generator) -> str:
    """Give two to five true sentences about things, animals and words."""
    return " ".join(_statement(rng) for _ in range(rng.integers(2, 6)))


def talk(rng: np.random.Generator) -> str:
    """Give one to three questions, each with its answer."""
    turns = (question(rng) for _ in range(rng.integers(1, 4)))
    return "".join(f"Q: {asked}\nA: {answer}{END}" for asked, answer in turns)


def question(rng: np.random.Generator) -> tuple[str, str]:
    """Give a question and an answer to it.

    Returns
    -------
    tuple of str
        The question, and its answer: mostly one word; several words are likely for the same
        question, and which ones depends on what is asked.
    """
    kinds = (_of_quality, _of_ability, _of_words, _of_liking, _of_help, _of_what)
    return _pick(rng, kinds, (5, 4, 3, 2, 2, 2))(rng)


def _of_quality(rng: np.random.Generator) -> tuple[str, str]:
    noun, qualities = _pick(rng, tuple(words.QUALITIES.items()))
    quality = _pick(rng, qualities)
    told = f"{noun} {_be(noun)}"
    if rng.random() < 0.5:
        return f"{_be(noun).capitalize()} {noun} {quality}?", _fact(rng, "yes", f"{told} {quality}")
    other = words.OPPOSITES[quality]
    return f"{_be(noun).capitalize()} {noun} {other}?", _fact(rng, "no", f"{told} {quality}")


def _of_ability(rng: np.random.Generator) -> tuple[str, str]:
    animal, abilities = _pick(rng, tuple(words.ABILITIES.items()))
    ability = _pick(rng, words.VERBS)
    can = ability in abilities
    told = f"{animal} can {'' if can else 'not '}{ability}"
    if rng.random() < 0.35:
        asked = f"Does {animal} ever {ability}?"
        return asked, _fact(rng, "yes" if can else "not ever", told)
    return f"Can {animal} {ability}?", _fact(rng, "yes" if can else "no", told)


def _of_words(rng: np.random.Generator) -> tuple[str, str]:
    synonyms, opposites = tuple(words.SYNONYMS.items()), tuple(words.OPPOSITES.items())
    one, same = _pick(rng, synonyms)
    two, other = _pick(rng, opposites)
    wrong = words.OPPOSITES[one]
    asked, right, told = _pick(
        rng,
        (
            (f"Does {one} mean {same}?", "yes", f"{one} means {same}"),
            (f"Does {one} mean {wrong}?", "no", f"{one} means {same}"),
            (f"Is {two} the opposite of {other}?", "yes", f"{two} is not {other}"),
            (f"Is {one} the opposite of {same}?", "no", f"{one} means {same}"),
        ),
    )
    return asked, _fact(rng, right, told)


def _of_liking(rng: np.random.Generator) -> tuple[str, str]:
    who = _pick(rng, ("you", "we", words.PEOPLE[rng.integers(len(words.PEOPLE))][0]))
    food = _pick(rng, words.FOODS)
    family = _pick(rng, ("yes", "no", "unsure"), (0.5, 0.35, 0.15))
    verb = "Does" if who[0].isupper() else "Do"
    return f"{verb} {who} like {food}?", _word(rng, family)


def _of_help(rng: np.random.Generator) -> tuple[str, str]:
    asked = _expand(rng, "[please]", {"thing": _pick(rng, words.THINGS)})
    return asked, _word(rng, _pick(rng, ("willing", "no", "unsure"), (0.75, 0.15, 0.1)))


def _of_what(rng: np.random.Generator) -> tuple[str, str]:
    if rng.random() < 0.5:
        one, other = _pick(rng, tuple(words.OPPOSITES.items()))
        return f"What is the opposite of {one}?", other.capitalize()
    one, same = _pick(rng, tuple(words.SYNONYMS.items()))
    return f"What is another word for {one}?", same.capitalize()


def _fact(rng: np.random.Generator, right: str, told: str) -> str:
    """Answer a question of fact; a right answer sometimes says the fact, too."""
    wrong = "no" if right == "yes" else "yes"
    certainty = _pick(rng, tuple(SURE), tuple(SURE.values()))
    answer = _word(rng, {"right": right, "unsure": "unsure", "wrong": wrong}[certainty])
    return f"{answer}, {told}." if certainty == "right" and rng.random() < 0.15 else answer


def _word(rng: np.random.Generator, family: str) -> str:
    return _pick(rng, tuple(ANSWERS[family]), tuple(ANSWERS[family].values()))


def _statement(rng: np.random.Generator) -> str:
    noun, qualities = _pick(rng, tuple(words.QUALITIES.items()))
    quality = _pick(rng, qualities)
    animal, abilities = _pick(rng, tuple(words.ABILITIES.items()))
    one, same = _pick(rng, tuple(words.SYNONYMS.items()))
    two, other = _pick(rng, tuple(words.OPPOSITES.items()))
    sentence = _pick(
        rng,
        (
            f"{noun} {_be(noun)} {quality}.",
            f"{noun} {_be(noun)} not {words.OPPOSITES[quality]}.",
            f"{animal} can {_pick(rng, abilities)}.",
            f"{one} means {same}.",
            f"The opposite of {two} is {other}.",
            f"{two} is the opposite of {other}.",
        ),
    )
    return sentence[0].upper() + sentence[1:]


def _be(noun: str) -> str:
    return "are" if noun in words.PLURALS else "is"


def _expand(rng: np.random.Generator, text: str, drawn: Mapping[str, str]) -> str:
    """Replace every ``[symbol]`` by one of its templates, and every ``{name}``."""

    def template(match: re.Match[str]) -> str:
        return _expand(rng, _pick(rng, words.TEMPLATES[match[1]]), drawn)

    return re.sub(r"\[(\w+)\]", template, text).format_map(drawn)


def _pick(rng: np.random.Generator, options: tuple[Choice, ...], weights=None) -> Choice:
    """Draw one; without weights, the earlier ones are the likelier: 1/sqrt(place)."""
    if weights is None:
        weights = [place**-0.5 for place in range(1, len(options) + 1)]
    total = list(accumulate(weights))
    return options[bisect(total, rng.random() * total[-1])]

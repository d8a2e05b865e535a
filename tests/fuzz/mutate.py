"""Damaged files: what editors, killed programs, other tools and unkind people make of good ones."""

from collections.abc import Sequence
from random import Random

WORDS = (
    *("NaN", "Infinity", "-inf", "nan", "1e999", "-1", "-0.0", "1e-320", "0x10", "1_000", "½"),
    *("9" * 400, "9" * 5000, "1e" + "9" * 30, "null", "true", "None", "''", '""', "[]", "{}"),
    *("[", "]", "{", "}", ",", ":", '"', "'", "\\", "\\u0000", "\\ud800", "#", ";", "\t", " "),
    *("\n", "\r", "\r\n", "\v", "\u2028", "\x85", "\0", "\x1a", "\ufeff", "\u202e", "é", "😀"),
    *("[" * 3000, '{"a":' * 3000, "(" * 300, "- " * 300, "%s", "{0}", "__class__", "../../x"),
    *("&a", "*a", "<<: *a", "!!python/name:os.system", "=cmd()", "winner", "P", "wins", "step"),
)
TOKENS = (
    *(word.encode() for word in WORDS),
    *(b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\x80"),
)
"""What parsers have stumbled over: numbers beyond range, brackets without end, bytes of no text."""
EDITS_EACH = (1, 1, 1, 1, 2, 2, 3, 6)
LONGEST = 40_000
"""Bytes of a damaged file; what repeats itself must end somewhere."""


def mutated(seeds: Sequence[bytes], rng: Random) -> bytes:
    """One of the files, damaged; mostly in one place, so that much of it is still read."""
    data = rng.choice(seeds)
    for _ in range(rng.choice(EDITS_EACH)):
        data = rng.choice(EDITS)(data, seeds, rng)
    return data[:LONGEST]


def _flip(data, seeds, rng):
    """One bit is another."""
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _cut(data, seeds, rng):
    """The writer was killed."""
    return data[: rng.randint(0, len(data))]


def _span(data, rng):
    a, b = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return a, min(b, a + rng.choice((1, 8, 64, len(data))))


def _lose(data, seeds, rng):
    a, b = _span(data, rng)
    return data[:a] + data[b:]


def _repeat(data, seeds, rng):
    a, b = _span(data, rng)
    return data[:b] + data[a:b] * rng.choice((1, 2, 20)) + data[b:]


def _insert(data, seeds, rng):
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(TOKENS) + data[at:]


def _replace(data, seeds, rng):
    """A word or a number becomes another one."""
    words = [(m, m + 1) for m in range(len(data)) if data[m : m + 1].isalnum()]
    if not words:
        return data
    a, b = rng.choice(words)
    while b < len(data) and (data[b : b + 1].isalnum() or data[b] in b"._-+"):
        b += 1
    while a and (data[a - 1 : a].isalnum() or data[a - 1] in b"._-+"):
        a -= 1
    return data[:a] + rng.choice(TOKENS) + data[b:]


def _renumber(data, seeds, rng):
    """A digit becomes another one."""
    digits = [at for at in range(len(data)) if data[at] in b"0123456789"]
    if not digits:
        return data
    at = rng.choice(digits)
    return data[:at] + rng.choice((b"0", b"1", b"5", b"9", b"-1", b"00")) + data[at + 1 :]


def _splice(data, seeds, rng):
    """The head of one file and the tail of another."""
    other = rng.choice(seeds)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _shuffle(data, seeds, rng):
    lines = data.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


EDITS = (
    *(_flip, _cut, _lose, _repeat, _splice, _shuffle),
    *(_insert, _insert, _replace, _replace, _renumber, _renumber),
)

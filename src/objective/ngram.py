"""Prints the numbers that the tests of ngram.rs hold its tables against: the formulas as the papers write them, over strings.

    python ngram.py
"""

import functools
import math

SYMBOLS = "abcdefghij"


def text(n, state):
    """Symbols of which early ones are likelier, each by the one before: what the tests make of the same numbers."""
    made = ""
    for _ in range(n):
        state = (state * 1103515245 + 12345) % 2**31
        u = (state >> 16) / 2**15
        made += SYMBOLS[(int(u * u * u * 10) + (ord(made[-1]) if made else 0)) % 10]
    return made


TEXTS = [text(500, 1), text(200, 2)]


@functools.cache
def count(gram):
    """How often a string stands in the texts."""
    return sum(text.startswith(gram, i) for text in TEXTS for i in range(len(text)))


@functools.cache
def before(gram):
    """How many different symbols stand before it (Chen and Goodman 1999, equation 22)."""
    return sum(count(symbol + gram) > 0 for symbol in SYMBOLS)


def witten_bell(history, symbol):
    """Equation 13 of Chen and Goodman 1999, down to even chances."""
    followers = [count(history + c) for c in SYMBOLS]
    n, t = sum(followers), sum(c > 0 for c in followers)
    lower = witten_bell(history[1:], symbol) if history else 1 / len(SYMBOLS)
    return (count(history + symbol) + t * lower) / (n + t) if n else lower


@functools.cache
def discounts(length, counted):
    """Equation 26, over all histories of a length, with the fallback of KenLM."""
    grams = {text[i : i + length + 1] for text in TEXTS for i in range(len(text) - length)}
    n = [sum(counted(gram) == k for gram in grams) for k in range(1, 5)]
    if min(n) > 0:
        y = n[0] / (n[0] + 2 * n[1])
        d = [k - (k + 1) * y * n[k] / n[k - 1] for k in (1, 2, 3)]
        if all(0 < d[k - 1] <= k for k in (1, 2, 3)):
            return d
    return [0.5, 1, 1.5]


def kneser_ney(history, symbol, counted=count):
    """Equation 24: counts as they are for the whole history, of symbols before for its ends."""
    followers = [counted(history + c) for c in SYMBOLS]
    d = discounts(len(history), counted)
    lower = kneser_ney(history[1:], symbol, before) if history else 1 / len(SYMBOLS)
    if sum(followers) == 0:
        return lower
    off = lambda c: d[min(c, 3) - 1] if c else 0
    c = counted(history + symbol)
    return (c - off(c) + sum(map(off, followers)) * lower) / sum(followers)


for smoothed in witten_bell, kneser_ney:
    for history, symbol in [("", "a"), ("a", "b"), ("jc", "a"), ("ab", "c"), ("dd", "a"), ("gb", "b")]:
        assert abs(sum(smoothed(history, c) for c in SYMBOLS) - 1) < 1e-12
        print(smoothed.__name__, repr(history), symbol, f"{smoothed(history, symbol):.12f}")
    new = text(30, 3)
    nats = sum(math.log(smoothed(new[max(0, i - 2) : i], new[i])) for i in range(len(new)))
    print(smoothed.__name__, new, f"{nats:.12f}")
    print([discounts(n, c) for n in range(3) for c in (count, before)])

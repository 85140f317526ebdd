"""Strings: NumPy arrays of objects, computed on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, rule

Known = np.ndarray[Any, Any]

MOST_STEPS = 10**7
"""More steps than this a pattern may not need for one string."""

_QUANTIFIER = re.compile(r"[*+]|\{\d*,?\d*\}")


def words(x: Known) -> list[str]:
    """The strings of an array, in order."""
    return [each.decode() if isinstance(each, bytes) else str(each) for each in x.reshape(-1)]


def strings(values: Sequence[str], shape: Sequence[int]) -> Known:
    """An array of strings."""
    made = np.empty(len(values), np.object_)
    made[:] = values
    return made.reshape(tuple(shape))


@rule("StringConcat", known=(0, 1))
def _string_concat(call: Call, a: Known, b: Known) -> Known:
    a, b = np.broadcast_arrays(a, b)
    joined = [x + y for x, y in zip(words(a), words(b), strict=True)]
    return strings(joined, a.shape)


@rule("StringSplit", known=(0,))
def _string_split(call: Call, x: Known) -> tuple[Known, Known]:
    delimiter, most = call("delimiter") or None, call("maxsplit")
    limit = -1 if most is None else most
    parts = [each.split(delimiter, limit) if each else [] for each in words(x)]
    width = max(map(len, parts), default=0)
    filled = [word for part in parts for word in part + [""] * (width - len(part))]
    counts = np.array([*map(len, parts)], np.int64).reshape(x.shape)
    return strings(filled, (*x.shape, width)), counts


@rule("StringNormalizer", known=(0,))
def _string_normalizer(call: Call, x: Known) -> Known:
    stopwords = call("stopwords") or []
    if call("is_case_sensitive", 0):
        kept = [word for word in words(x) if word not in stopwords]
    else:
        lower = {word.lower() for word in stopwords}
        kept = [word for word in words(x) if word.lower() not in lower]
    change = call("case_change_action", "NONE")
    if change != "NONE":
        kept = [word.lower() if change == "LOWER" else word.upper() for word in kept]
    kept = kept or [""]
    return strings(kept, (1, len(kept)) if x.ndim == 2 else (len(kept),))


@rule("RegexFullMatch", known=(0,))
def _regex_full_match(call: Call, x: Known) -> Known:
    pattern = call("pattern", "")
    texts = words(x)
    check_pattern(pattern, max(map(len, texts), default=0))
    try:
        found = re.compile(pattern, re.ASCII)
    except re.error as error:
        raise FormatError(f"RegexFullMatch: {pattern!r} is no pattern: {error}") from None
    return np.array([found.fullmatch(text) is not None for text in texts], bool).reshape(x.shape)


def check_pattern(pattern: str, length: int) -> None:
    """Refuse a pattern that could take very long: it comes from a file, and so from a stranger.

    Python's patterns try one way after the other. A repeated group may take a number of steps
    that is exponential in the length of the text, so that none is allowed. Without them each
    repetition multiplies the number by the length at most, and each alternative by two.

    Args:
        length: of the longest text.

    Raises:
        FormatError: the pattern is refused; compute this node before the model.
    """
    plain = re.sub(r"\\.", "a", pattern, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?[^\]]*\]", "a", plain)
    # Forms that RE2, whose patterns ONNX means, does not have or reads in another way.
    is_strange = re.search(r"\\[1-9kKGABZpPC]|\[:", pattern) or re.search(r"\(\?(?!:)", plain)
    plain = plain.replace("(?:", "(")
    repeats = len(_QUANTIFIER.findall(plain))
    choices = plain.count("|") + plain.count("?")
    steps = (length + 1.0) ** min(max(repeats, 1), 99) * 2.0 ** min(choices, 99)
    if is_strange or re.search(r"\)([*+]|\{)", plain) or steps > MOST_STEPS or len(pattern) > 1000:
        raise FormatError(
            f"RegexFullMatch: the pattern {pattern[:80]!r} may take too long on texts of {length} "
            "letters, or has forms that are not here; match the texts before the model"
        )


@rule("TfIdfVectorizer", known=(0,))
def _tf_idf_vectorizer(call: Call, x: Known) -> Known:
    pool = call("pool_strings") or call("pool_int64s") or []
    grams = _grams(pool, call("ngram_counts"))
    places = call("ngram_indexes")
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    counts = np.zeros((len(rows), max(places) + 1), np.float32)
    for count, row in zip(counts, rows, strict=True):
        items = words(row) if call("pool_strings") else row.tolist()
        for gram in _grams_in(items, call):
            if gram in grams:
                count[places[grams[gram]]] += 1
    return _weighted(call, counts, places).reshape((*x.shape[:-1], -1))


def _grams_in(items: Sequence[Any], call: Call) -> Iterator[tuple[Any, ...]]:
    """All n-grams of these lengths in a text, also those that skip items."""
    for length in range(call("min_gram_length"), call("max_gram_length") + 1):
        # Skipping has no effect on a single item.
        steps = range(1, call("max_skip_count") + 2) if length > 1 else (1,)
        for step in steps:
            reach = step * (length - 1)
            for begin in range(len(items) - reach):
                yield tuple(items[begin : begin + reach + 1 : step])


def _grams(pool: Sequence[Any], starts: Sequence[int]) -> dict[tuple[Any, ...], int]:
    """The number of each n-gram: first all single items, then the pairs, and so on."""
    grams: dict[tuple[Any, ...], int] = {}
    for i, start in enumerate(starts):
        part = pool[start : starts[i + 1] if i + 1 < len(starts) else len(pool)]
        for begin in range(0, len(part), i + 1):
            grams[tuple(part[begin : begin + i + 1])] = len(grams)
    return grams


def _weighted(call: Call, counts: Known, places: Sequence[int]) -> Known:
    given, mode = call("weights"), call("mode")
    factors = np.ones(counts.shape[1], np.float32)
    if given:
        factors[places] = given
    if mode == "TF":
        return counts
    return factors * ((counts > 0) if mode == "IDF" else counts).astype(np.float32)

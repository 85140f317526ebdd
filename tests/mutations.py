"""Damaged variants of files, as by a broken disk, a broken program or a malicious one."""

import json
import random
import re


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A file of any format, cut, flipped, repeated, or with sizes in it that are not true."""
    place = rng.randrange(len(content) + 1)
    some = content[place : place + rng.choice((1, 4, 100))]
    return rng.choice(
        (
            lambda: content[:place],
            lambda: content[:place] + bytes(b ^ 1 << rng.randrange(8) for b in some)
            + content[place + len(some) :],
            lambda: content[:place] + b"\xff" * rng.choice((1, 2, 4, 8)) + content[place + 4 :],
            lambda: content[:place] + bytes(rng.choice((1, 4, 8))) + content[place + 4 :],
            lambda: content[:place] + some * rng.choice((2, 1000)) + content[place:],
            lambda: content[:place] + rng.randbytes(rng.choice((1, 20))) + content[place:],
            lambda: content + content,
            lambda: content + bytes(rng.choice((1, 5))) + rng.randbytes(9),
        )
    )()  # fmt: skip


def damaged_text(rng: random.Random, content: bytes) -> bytes:
    """A file of text, also with numbers and nesting that no program writes."""
    number = rng.choice(_NUMBERS)
    numbers = [*re.finditer(rb"\d+(\.\d+)?", content)] or [re.match(b"", content)]
    chosen = rng.choice(numbers)
    deep = rng.choice((50, 101, 100_000))
    return rng.choice(
        (
            lambda: content[: chosen.start()] + number + content[chosen.end() :],
            lambda: content[: chosen.start()] + b"[" * deep + content[chosen.end() :],
            lambda: content[: chosen.start()] + b"[" * deep + b"]" * deep + content[chosen.end() :],
            lambda: content[: chosen.start()] + b'"' + b"\\" * 9999 + content[chosen.end() :],
            lambda: damaged(rng, content),
        )
    )()


def damaged_json(rng: random.Random, document: object) -> object:
    """A document with one value, or one name, that is another."""
    if rng.random() < 0.3 or not isinstance(document, dict | list) or not document:
        return rng.choice(_VALUES)
    copy = json.loads(json.dumps(document))
    key = rng.choice([*copy]) if isinstance(copy, dict) else rng.randrange(len(copy))
    if rng.random() < 0.2:
        copy.pop(key)
    elif isinstance(copy, dict) and rng.random() < 0.2:
        copy[rng.choice(("", "x" * 9999, "__proto__", "é\ud800", "../../x"))] = copy.pop(key)
    else:
        copy[key] = damaged_json(rng, copy[key])
    return copy


_VALUES = (
    None, True, -1, 0, 2**48, 10**400, 1e300, -1e-300, float("nan"), float("inf"), "", "x" * 9999,
    "\ud800", [], {}, [[[]]], [2**47] * 1000, [10**18] * 4000, {"a": {"b": {}}}, ["x"] * 999,
)  # fmt: skip
_NUMBERS = (
    b"9" * 400, b"9" * 5000, b"1e400", b"-1e300", b"1e-300", b"nan", b"-1", b"1." + b"3" * 100_000,
    b"1e17", b"\xd9\xa1", b"true", b'"x"',
)  # fmt: skip

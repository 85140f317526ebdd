"""Whether all ranks exchange the same, in the same order; and if not, which one differs in what.

A rank numbers its exchanges, and keeps a checksum of all up to each of them. It says every second
which one it has begun last; so the hub knows how far all have come, and whether they had done the
same until then. If not, it asks for earlier ones, half of those that are left each time, until it
has found the first one that differs. So it costs next to nothing however many exchanges there are,
and the answer is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Exchange(NamedTuple):
    """An exchange that a rank has begun.

    Attributes:
        number: from 1.
        checksum: of all until this one.
        what: what it is, in words.

    Example:
        >>> comparison.Exchange.of([1, 7, "the sum of float32[3]"]).number
        1
    """

    number: int
    checksum: int
    what: str

    @classmethod
    def of(cls, entry: Sequence[Any]) -> Exchange:
        """From what a message has; raises a ValueError or a TypeError if it is something else."""
        number, checksum, what = entry
        return cls(int(number), int(checksum), str(what))


class Comparison:
    """What is known of the exchanges of all ranks.

    Args:
        size: the number of ranks.
        ask: asks all ranks for the exchange with a number.

    Example:
        >>> Exchange = comparison.Exchange
        >>> ours = comparison.Comparison(2, print)
        >>> ours.hear(0, [Exchange(1, 5, "a"), Exchange(2, 6, "b")])
        >>> ours.hear(1, [Exchange(2, 9, "c")])
        >>> ours.look()  # it prints the number that it asks for
        1
        >>> ours.hear(1, [Exchange(1, 5, "a")])
        >>> ours.look()
        >>> ours.difference()
        (1, "exchanges something else than rank 0: its exchange 2 is c, and rank 0's is b")
    """

    def __init__(self, size: int, ask: Callable[[int], object]) -> None:
        self._size, self._ask = size, ask
        self._known: dict[int, dict[int, Exchange]] = {}  # by rank and number
        self._same = 0  # until this one all ranks have done the same
        self._unlike: list[Exchange] = []  # the first one known by which they differ, by rank
        self._asked = 0
        self._missing: set[int] = set()  # ranks that have not answered

    def hear(self, rank: int, exchanges: Sequence[Exchange]) -> None:
        """What a rank says of some of its exchanges."""
        if rank >= self._size:
            return
        own = self._known.setdefault(rank, {})
        own |= {each.number: each for each in exchanges}
        if self._asked in own and rank in self._missing:
            self._missing.discard(rank)
            if not self._missing:
                self.look()

    def begun(self, rank: int) -> int:
        """The number of the last exchange that a rank has begun."""
        return max(self._known.get(rank, ()), default=0)

    def look(self) -> None:
        """Compare what is known, and ask for what is needed to know more."""
        while number := self._next():
            found = [self._known[rank].get(number) for rank in range(self._size)]
            here = [each for each in found if each is not None]
            if len(here) < self._size:
                self._missing = {rank for rank, each in enumerate(found) if each is None}
                if self._asked != number:
                    self._asked = number
                    self._ask(number)
                return
            if len({each.checksum for each in here}) == 1:
                self._same = number
                for rank, own in self._known.items():
                    self._known[rank] = {n: each for n, each in own.items() if n >= number}
            else:
                self._unlike = here

    def _next(self) -> int:
        """The number of the exchange to compare next; 0 for none."""
        if self._unlike:
            between = (self._same + self._unlike[0].number) // 2
            return between if between > self._same else 0
        if len(self._known) < self._size:
            return 0
        least = min(map(self.begun, range(self._size)))
        return least if least > self._same else 0

    @property
    def is_exact(self) -> bool:
        """Whether the first exchange that differs is known."""
        return bool(self._unlike) and self._unlike[0].number == self._same + 1

    def difference(self) -> tuple[int, str] | None:
        """The rank that differs from most others, and how; None if all have done the same."""
        if not self._unlike:
            return None
        sums = [each.checksum for each in self._unlike]
        # Of two equally frequent ones, that of the first rank.
        usual = sums.index(Counter(sums).most_common(1)[0][0])
        rank = next(rank for rank, each in enumerate(sums) if each != sums[usual])
        mine, other = self._unlike[rank], self._unlike[usual]
        words = f"exchanges something else than rank {usual}: "
        if mine.what != other.what:
            words += (
                f"its exchange {mine.number} is {mine.what}, and rank {usual}'s is {other.what}"
            )
        else:
            words += f"its exchange {mine.number} is {mine.what}, and something differs before it"
        return rank, words

"""The positions of a drawing's boxes, and the paths of its lines; in pixels, y downwards."""

from __future__ import annotations

from collections import Counter, defaultdict

from singa.graph.recording import BACKWARD, FORWARD, UPDATE
from singa.report.layout import Item, Lane
from singa.report.scene import DETAIL_SIZE, STUB, Box, Link, Scene
from singa.report.svg import Point, text_width

PILL_PITCH = 26  # from one pill to the next
HEADER = 104
MARGIN = 24
_PAD = 14  # between a lane's edge and its contents
_TRACK = 16  # between lines side by side
_ROW_GAP = 34
_COLUMN_GAP = 36
_STACK_GAP = 8
_FOOT = 22  # a bar ends this far below its last row; its outgoing lines start there


class Placement:
    """Gives every box of a scene its position.

    Attributes:
        lanes: by lane, where it begins and ends.
        flows: for each flow of the scene, the points of its line.
        kept, gradients: for each of these links, the points of its line, and the position of its
            text: of its left end for ``kept``, of its right end for ``gradients``.
        helpers: the lines to updates that do not carry gradients, and whether each has an arrow.
        state: the position of the first pill for the updates' state: its left end, and its top.
        width, height: of the drawing.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._row_of: dict[int, list[Box]] = defaultdict(list)
        for lane in (FORWARD, BACKWARD):
            for box in scene.boxes[lane]:
                self._row_of[box.first].append(box)
        self._paths: dict[tuple[Box, Box], list[Item]] = {}
        self.lanes: dict[str, tuple[float, float]] = {}
        self.state: Point = (0.0, 0.0)
        self._stacks: dict[tuple[int, int], list[Box]] = defaultdict(list)
        self._choose_columns()
        self._tracks: dict[Link, int] = {}
        self._choose_tracks()
        self._top: list[float] = []
        self._bottom: list[float] = []
        self._choose_heights()
        self.flows = {pair: self._flow(*pair) for pair in scene.flows}
        self.kept = {link: self._kept(link) for link in scene.kept}
        self.gradients = self._gradients()
        self.helpers = self._helpers()

    # -- columns ----------------------------------------------------------------------------------

    def _choose_columns(self) -> None:
        x = float(MARGIN)
        for direction, links in ((FORWARD, self._scene.kept), (BACKWARD, self._scene.gradients)):
            if self._scene.boxes[direction]:
                x = self._choose_lane(direction, x) + _widest(links) + 2 * _PAD
        self.width = (
            self._choose_updates(x) + MARGIN
            if self._scene.boxes[UPDATE]
            else (max((end for _, end in self.lanes.values()), default=0.0) + MARGIN)
        )

    def _choose_lane(self, direction: str, begin: float) -> float:
        places = {box.node: box.x for box in self._scene.boxes[FORWARD]}

        def mirrored(box: Box) -> float:
            # Keep related boxes near: the rightmost of forward is the leftmost of backward.
            return -places.get(box.node.forward, 0.0) if box.node.forward else 0.0

        reach = {
            box: (
                box.first,
                box.width / 2 + (box.pills_width if direction == FORWARD else 0.0),
                box.width / 2,
            )
            for box in sorted(self._scene.boxes[direction], key=mirrored)
        }
        flows = [(a, b) for a, b in self._scene.flows if a.direction == direction]
        lane = Lane(reach, flows, _COLUMN_GAP)
        shift = begin + _PAD - lane.left
        for item in (
            *lane.items.values(),
            *(item for path in lane.paths.values() for item in path),
        ):
            item.x += shift
        for box, item in lane.items.items():
            box.x = item.x
        self._paths.update(lane.paths)
        self.lanes[direction] = begin, lane.right + shift + _PAD
        return self.lanes[direction][1]

    def _choose_updates(self, begin: float) -> float:
        columns: list[list[Box]] = []
        number: dict[Box, int] = {}
        for box in self._scene.boxes[UPDATE]:
            links = [link for link in self._scene.gradients if link.target is box]
            column = max(
                (number[link.source] + 1 for link in links if link.source in number), default=0
            )
            while column < len(columns) and any(_clash(box, other) for other in columns[column]):
                column += 1
            number[box] = column
            if column == len(columns):
                columns.append([])
            columns[column].append(box)
            if box.first == box.last:
                self._stacks[column, box.first].append(box)
        x: float = begin
        for column_boxes in columns:
            x += _PAD if column_boxes is columns[0] else _widest(self._scene.gradients) + 2 * _PAD
            width = max(box.width for box in column_boxes)
            for box in column_boxes:
                box.width, box.x = width, x + width / 2
            x += width
        setup = self._scene.boxes["setup"]
        beside = max(
            (
                *(pill.width for pill in self._scene.state),
                *(box.width + box.pills_width for box in setup),
            ),
            default=0.0,
        )
        if beside:
            x += 2 * STUB
            self.state = x, 0.0
            for box in setup:
                box.x = x + box.width / 2
            x += beside
        self.lanes[UPDATE] = begin, x + _PAD
        return x + _PAD

    # -- rows -------------------------------------------------------------------------------------

    def _choose_tracks(self) -> None:
        """Route lines that would cross a box beside its row, each on a track of its own."""
        used: Counter[tuple[int, int]] = Counter()
        for side, links in ((-1, self._scene.kept), (1, self._scene.gradients)):
            for link in links:
                rows = {link.source.first, link.target.first} if side < 0 else {link.source.first}
                right = link.target.x if side < 0 else self.lanes[UPDATE][0]
                between = [
                    box
                    for row in rows
                    for box in self._row_of[row]
                    if link.source.x < box.x < right and box is not link.target
                ]
                if between and link.source.direction != UPDATE:
                    used[link.source.first, side] += 1
                    self._tracks[link] = used[link.source.first, side]
        self._used = used

    def _choose_heights(self) -> None:
        rows = 1 + max(
            (box.last for boxes in self._scene.boxes.values() for box in boxes), default=0
        )
        y = float(HEADER)
        for row in range(rows):
            y += _TRACK * self._used[row, -1]
            height = max((self._needed(box) for box in self._row_of[row]), default=0.0)
            for (_, first), stack in self._stacks.items():
                if first == row:
                    height = max(height, sum(box.height + _STACK_GAP for box in stack))
            self._top.append(y)
            self._bottom.append(y + height)
            for box in self._row_of[row]:
                box.top = y + (height - box.height) / 2
            y += height + _ROW_GAP + _TRACK * self._used[row, 1]
        tracks = {link.target: track for link, track in self._tracks.items()}
        for (_, row), stack in self._stacks.items():
            stack.sort(key=lambda box: tracks.get(box, 0))
            height = sum(box.height + _STACK_GAP for box in stack) - _STACK_GAP
            top = (self._top[row] + self._bottom[row] - height) / 2
            for box in stack:
                box.top = top
                top += box.height + _STACK_GAP
        for box in self._scene.boxes[UPDATE]:
            if box.first < box.last:
                box.top = self._top[box.first]
                foot = _FOOT + _TRACK * self._used[box.last, 1]
                box.height = self._bottom[box.last] + foot - box.top
        y += _FOOT - _ROW_GAP
        if self._scene.boxes[UPDATE]:
            below = min(box.top for box in self._scene.boxes[UPDATE])
            self.state = self.state[0], below
            below += PILL_PITCH * len(self._scene.state)
            for box in self._scene.boxes["setup"]:
                beside = max(0.0, PILL_PITCH * len(box.pills) - box.height) / 2
                box.top = below + beside + _STACK_GAP
                below = box.bottom + beside + _STACK_GAP
            y = max(y, below)
        self.bottom = y + _PAD
        self.height = self.bottom + MARGIN

    def _needed(self, box: Box) -> float:
        gradients = sum(link.source is box for link in self._scene.gradients)
        pills = float(PILL_PITCH * len(box.pills))
        if box.direction == BACKWARD:  # they are below it
            pills = box.height + 2 * pills if pills else 0.0
        return max(box.height, pills, _TRACK * (gradients + 1) if gradients > 1 else 0.0)

    # -- lines ------------------------------------------------------------------------------------

    def _flow(self, source: Box, target: Box) -> list[Point]:
        down = source.direction == FORWARD
        others = [pair for pair in self._scene.flows if pair[1] is target]
        entry = {
            pair: self._paths[pair][-1].x if self._paths[pair] else pair[0].x for pair in others
        }
        others.sort(key=entry.__getitem__)
        pitch = min(28.0, target.width / (len(others) + 1))
        x = target.x + (others.index((source, target)) - (len(others) - 1) / 2) * pitch
        points = [(source.x, source.bottom if down else source.top)]
        for item in self._paths[source, target]:
            ends = [self._top[item.layer], self._bottom[item.layer]]
            points += [(item.x, y) for y in (ends if down else reversed(ends))]
        return [*points, (x, target.top if down else target.bottom)]

    def _kept(self, link: Link) -> tuple[list[Point], Point]:
        source, target = link.source, link.target
        text_x = self.lanes[FORWARD][1] + _PAD
        track = self._tracks.get(link)
        if track is None:
            points = [(source.right, source.middle), (target.left, target.middle)]
            return points, (text_x, source.middle - 4)
        y = self._top[source.first] - 4 - _TRACK * (track - 1) - 8
        start = source.right - 12 - 6 * track
        end = target.left + 12 + 6 * track
        points = [(start, source.top), (start, y), (end, y), (end, target.top)]
        return points, (text_x, y - 4)

    def _gradients(self) -> dict[Link, tuple[list[Point], Point]]:
        found = {}
        straight: dict[Box, list[Link]] = defaultdict(list)
        for link in self._scene.gradients:
            if link not in self._tracks and not link.source.node.is_rule:
                straight[link.source].append(link)
        for link in self._scene.gradients:
            source, target = link.source, link.target
            track = self._tracks.get(link)
            if source.node.is_rule:
                points, y = [(source.right, source.bottom - 8)], source.bottom - 8
            elif track is None:
                beside = straight[source]
                y = source.middle + (beside.index(link) - (len(beside) - 1) / 2) * _TRACK
                points = [(source.right, y)]
            else:
                y = self._bottom[source.first] + 8 + _TRACK * track
                x = source.right - 12 - 6 * track
                points = [(x, source.bottom), (x, y)]
            if not target.top + 4 < y < target.bottom - 4:
                # Lines to boxes of one stack bend at different positions.
                stack = next((s for s in self._stacks.values() if target in s), [target])
                i, last = stack.index(target), len(stack) - 1
                bend = target.left - 8 - 5 * (last - i if target.middle < y else i)
                points += [(bend, y), (bend, target.middle)]
                text = target.left - 12 - 5 * last, y - 4
                found[link] = [*points, (target.left, target.middle)], text
            else:
                found[link] = [*points, (target.left, y)], (target.left - _PAD, y - 4)
        return found

    def _helpers(self) -> list[tuple[list[Point], bool]]:
        """Lines from state, step counters and schedules to updates; on a bus if there are many."""
        updates = [box for box in self._scene.boxes[UPDATE] if box.node.is_rule]
        x, y = self.state
        starts = [y + PILL_PITCH * (i + 0.5) for i in range(len(self._scene.state))]
        starts += [box.middle for box in self._scene.boxes["setup"]]
        if not updates or not starts:
            return []
        right = max(box.right for box in updates)
        if len(updates) == 1 and starts[-1] < updates[0].bottom:
            return [([(x, start), (right, start)], True) for start in starts]
        bus = right + STUB
        ends = [(box.right, box.middle) for box in updates]
        heights = [*starts, *(end for _, end in ends)]
        return [
            *(([(x, start), (bus, start)], False) for start in starts),
            ([(bus, min(heights)), (bus, max(heights))], False),
            *(([(bus, end), (to, end)], True) for to, end in ends),
        ]


def _clash(one: Box, other: Box) -> bool:
    """Whether two boxes of updates cannot be in one column. Those of one row are stacked."""
    stacked = one.first == one.last == other.first == other.last
    return not stacked and one.first <= other.last and other.first <= one.last


def _widest(links: list[Link]) -> float:
    return max((text_width(link.text, DETAIL_SIZE) for link in links), default=0.0)

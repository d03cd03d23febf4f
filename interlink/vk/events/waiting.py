"""The events that wait for their turn: Warnings before Normal ones, and no more than there is room for.

Filled and emptied by ``recorder.py``. While kube-apiserver is busy thousands of "Created" and "Started" wait for
minutes: what is wrong with a pod must neither wait behind them nor be what finds no room.
"""

import asyncio
from collections import deque

from interlink.vk.events.note import Note

#: Five for each pod of a burst of a thousand.
ROOM = 5_000


class Waiting:
    """Two lines of notes, with ``room`` for so many in both."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._warnings: deque[Note] = deque()
        self._normal: deque[Note] = deque()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._warnings) + len(self._normal)

    def put(self, note: Note) -> Note | None:
        """Let the note wait; return the one for which there is no room, if any.

        That is the note itself, or for a Warning the last Normal one that waits.
        """
        line = self._warnings if note.kind == "Warning" else self._normal
        left_out = None
        if len(self) >= self.room:
            if line is self._normal or not self._normal:
                return note
            left_out = self._normal.pop()
        line.append(note)
        self._some.set()
        return left_out

    async def wait(self) -> None:
        """Wait until there is one."""
        await self._some.wait()

    def first(self) -> Note:
        """Take the first Warning, or else the first Normal one; there must be one."""
        note = (self._warnings or self._normal).popleft()
        if not self:
            self._some.clear()
        return note

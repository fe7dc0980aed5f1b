"""Cut a file of Kubernetes objects into lines of one object each: a list of a large cluster is one JSON text of hundreds of megabytes,
which the engine could only parse as one value.

Only the borders of lists' items are looked for here; what is in an object, the engine reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import fsspec

_SPACE = re.compile(r"[\s,]*")
_INDENTED = re.compile(r"\[\r?(\n\s*)\{")
_IS_LIST = re.compile(r'"kind"\s*:\s*"\w*List"|"items"\s*:\s*\[')
_NEAR = 600
_decode = json.JSONDecoder().raw_decode


@dataclass
class Listed:
    """One list: the numbers of its first object and the one after its last, and what it says beside its items."""

    first: int
    after: int = 0
    said: dict = field(default_factory=dict)


class Cutter:
    """Writes objects as lines, and remembers which of them came in one list."""

    def __init__(self, out: TextIO):
        self.out = out
        self.count = 0
        self.longest = 0
        self.lists: list[Listed] = []

    def cut(self, file: Path) -> None:
        """Write all objects of ``file``.

        Raises:
            ValueError: the file is no JSON, or ends in the middle of it.
        """
        with fsspec.open(str(file), "rt", compression="infer", encoding="utf-8-sig", newline="\n") as text:
            start = [line for _, line in zip(range(50), text, strict=False)]
            if _is_lines(start):
                for lines in (start, text):
                    for line in lines:
                        self._line(line)
            else:
                self._documents("".join(start) + text.read())

    def _line(self, line: str) -> None:
        bare = line.strip()
        if not bare:
            return
        if bare[0] == "[" or (_IS_LIST.search(bare[:_NEAR]) or _IS_LIST.search(bare[-_NEAR:])):
            try:
                json.loads(bare)
            except ValueError:
                self._write(bare)
            else:
                self._documents(bare)
        else:
            self._write(bare)

    def _write(self, item: str) -> None:
        self.count += 1
        self.longest = max(self.longest, len(item))
        self.out.write(item.replace("\r", " ").replace("\n", " ") + "\n")

    def _documents(self, text: str) -> None:
        place = _SPACE.match(text).end()
        while place < len(text):
            place = _SPACE.match(text, self._value(text, place, {})).end()

    def _value(self, text: str, place: int, said: dict) -> int:
        """Write what stands at ``place``: an array, a list, or an object; return where it ends."""
        if text[place] == "[":
            return self._gather(said, lambda: self._array(text, place))
        if text[place] != "{":
            _, end = _decode(text, place)
            self._write(text[place:end])
            return end
        end, at = self._fields(text, place, said)
        if at is None:
            self._write(text[place:end])
        elif text[at] == "[":
            self._gather(said, lambda: self._items(text, at, self._write))
        else:
            self._value(text, at, said)
        return end

    def _fields(self, text: str, place: int, said: dict) -> tuple[int, int | None]:
        """The end of the object at ``place`` and where its items, or the list that it wraps, start; ``said`` gets its other fields."""
        at = None
        place = _SPACE.match(text, place + 1).end()
        while text[place : place + 1] != "}":
            key, place = _decode(text, place)
            place = re.compile(r"\s*:\s*").match(text, place).end()
            if key == "items" and text[place] == "[":
                at, place = place, self._items(text, place, _nowhere)
            else:
                value, end = _decode(text, place)
                if key == "object" and isinstance(value, dict) and isinstance(value.get("items"), list):
                    at = place
                else:
                    said.setdefault(key, value)
                place = end
            place = _SPACE.match(text, place).end()
        return place + 1, at

    def _gather(self, said: dict, write: Callable[[], int]) -> int:
        listed, before = Listed(self.count + 1, said=said), len(self.lists)
        end = write()
        listed.after = self.count + 1
        # an array of lists is not one itself
        if listed.after > listed.first and len(self.lists) == before:
            self.lists.append(listed)
        return end

    def _array(self, text: str, place: int) -> int:
        """Write the elements of an array; those that are lists are lists of their own."""
        place = _SPACE.match(text, place + 1).end()
        while text[place : place + 1] != "]":
            value, end = _decode(text, place)
            if isinstance(value, dict) and isinstance(value.get("items"), list):
                self._value(text, place, {})
            else:
                self._write(text[place:end])
            place = _SPACE.match(text, end).end()
        return place + 1

    def _items(self, text: str, place: int, write: Callable[[str], None]) -> int:
        """Hand on the items of the array at ``place``; return where it ends."""
        ends = []
        for start, end in _borders(text, place):
            if end > start:
                write(text[start:end])
            ends.append(end)
        return ends[-1]


def _borders(text: str, place: int) -> Iterator[tuple[int, int]]:
    """Where each item of the array at ``place`` starts and ends, and at last the array's end as (end, end)."""
    indented = _INDENTED.match(text, place)
    place = _SPACE.match(text, place + 1).end()
    # JSON has no line breaks inside texts: a brace as far in as the first one closes its item
    closing = indented.group(1) + "}" if indented else None
    while text[place : place + 1] != "]":
        if closing and text[place : place + 1] == "{":
            end = text.find(closing, place)
            if end < 0:
                raise ValueError("it ends in the middle of an item")
            end += len(closing)
        else:
            _, end = _decode(text, place)
        yield place, end
        place = _SPACE.match(text, end).end()
    yield place + 1, place + 1


def _nowhere(item: str) -> None:
    """Pass over an item."""


def _is_lines(start: list[str]) -> bool:
    """Whether each line has an object of its own: in an indented text no line has more than an empty one."""
    for line in start:
        bare = line.strip()
        if bare[:1] in ("{", "[") and bare[-1:] in ("}", "]"):
            try:
                found = json.loads(bare)
            except ValueError:
                continue
            if found and (isinstance(found, list) or {"kind", "items", "object", "metadata", "type"} & found.keys()):
                return True
    return False

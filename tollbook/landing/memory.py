"""What was fetched and completed before, beside the archive: it goes where the archive goes, into a backup and back.

One JSON line per fact; the last one of a name holds. A line cut off by a crash is passed over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Memory:
    """Facts by name, kept in ``file``."""

    def __init__(self, file: Path):
        self.file = file
        self.facts: dict[str, Any] = {}
        lines = 0
        for line in file.read_text().splitlines() if file.exists() else ():
            lines += 1
            try:
                name, fact = json.loads(line)
            except ValueError:
                continue
            self.facts[name] = fact
        if lines > 2 * len(self.facts) + 100:
            self._compact()

    def get(self, name: str) -> Any:
        """The fact of this name, or None."""
        return self.facts.get(name)

    def put(self, name: str, fact: Any) -> None:
        """Remember ``fact`` (anything JSON has; None forgets)."""
        if self.facts.get(name) == fact:
            return
        self.facts[name] = fact
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as log:
            # a line that a crash cut off must not swallow this one
            log.write(("\n" if log.tell() else "") + json.dumps([name, fact]))

    def _compact(self) -> None:
        partial = self.file.with_name(self.file.name + ".partial")
        partial.write_text("\n".join(json.dumps([name, fact]) for name, fact in self.facts.items() if fact is not None))
        partial.replace(self.file)

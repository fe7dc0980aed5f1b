"""Files that people write by hand and a table program saves: what is wrong with their form, in words."""

from __future__ import annotations

import csv
from pathlib import Path

from tollbook.errors import ConfigError


def refuse_ragged(file: Path) -> None:
    """Nothing where ``file`` is CSV of one width in UTF-8; a reader that guesses would take another line for the header.

    Raises:
        ConfigError: it is in another encoding, or a row has more or fewer cells than the header.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            rows = csv.reader(content, strict=True)
            header = next(rows, [])
            for number, row in enumerate(rows, 1):
                if row and len(row) != len(header):
                    raise ConfigError(
                        f"{file}: row {number} has {len(row)} cells, the header {len(header)}. A text with a comma in it stands in"
                        ' double quotes ("…, …"); an empty cell keeps its comma.'
                    )
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}). Save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise ConfigError(f"{file}: cannot be read as CSV: {error}") from error

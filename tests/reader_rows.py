"""What readers' tests ask of the rows that a reader returns."""


def dictionaries(result):
    """The rows of a DuckDB result, as dictionaries by column."""
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def values(rows, *names):
    """The named columns of such rows: tuples, or of one name the bare values."""
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]] for row in rows]

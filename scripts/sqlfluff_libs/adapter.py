"""Stands for dbt's ``adapter`` while sqlfluff renders the models: an engine's expression is some value."""


def dispatch(_macro: str):
    """A macro that renders to a constant, whatever it is given."""
    return lambda *_arguments, **_named: "1"

"""Sources: a delivered file in, rows of a canonical table out."""

"""The warehouse file: its schema, its lock, what is in it."""

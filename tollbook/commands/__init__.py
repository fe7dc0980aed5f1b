"""The commands: thin layers over the functions that the DAGs call, too."""

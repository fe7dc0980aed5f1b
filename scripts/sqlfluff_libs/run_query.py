"""Stands for dbt's ``run_query`` while sqlfluff renders the models: nothing is executed then, so it is never called."""

"""The data dictionary says what the models say."""

from write_dictionary import dictionary


def test_the_dictionary_is_written_from_the_models_as_they_are(repo):
    written = (repo / "docs" / "data-dictionary.md").read_text()
    assert written == dictionary()
    assert written.count("\n## ") == len(list((repo / "dbt_project" / "models" / "marts").rglob("*.sql")))

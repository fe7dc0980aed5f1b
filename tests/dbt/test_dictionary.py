"""The data dictionary says what the models say."""

from write_dictionary import dictionary


def test_the_dictionary_is_written_from_the_models_as_they_are(repo):
    written = (repo / "docs" / "data-dictionary.md").read_text()
    assert written == dictionary()
    published = [file for folder in ("models/marts", "models/semantic") for file in (repo / "dbt_project" / folder).rglob("*.sql")]
    assert written.count("\n## ") == len(published) + len(list((repo / "dbt_project" / "seeds").glob("*.csv")))

"""Write the data dictionary: every mart's grain and columns, from the models' own descriptions.

python scripts/write_dictionary.py docs/data-dictionary.md
"""

import sys
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[1]
READERS = ("finance", "engineering", "product", "quality")


def dictionary() -> str:
    """The whole text, Markdown."""
    parts = [
        "# Data dictionary",
        "",
        "Written by `make docs` from the descriptions of the dbt models. All marts have enforced contracts. Money columns end in",
        "`_cost` and are in `currency_code`; FOCUS columns keep their names, in snake_case. Times are UTC, periods half-open.",
    ]
    for reader in READERS:
        files = sorted((REPO / "dbt_project" / "models" / "marts" / reader).glob("_*__models.yml"))
        models = [model for file in files for model in yaml.safe_load(file.read_text())["models"]]
        # what is published from elsewhere: the catalogue of metrics and their days
        if reader == "product":
            models += _listed("seeds/_seeds.yml", "seeds") + _listed("models/semantic/_semantic__models.yml", "models")
        for model in sorted(models, key=lambda model: model["name"]):
            parts += [
                "",
                f"## {reader}.{model['name']}",
                "",
                model["description"].strip(),
                "",
                "| column | type | meaning |",
                "|---|---|---|",
            ]
            parts += [
                f"| `{one['name']}` | {one['data_type']} | {one['description'].replace('|', chr(92) + '|')} |" for one in model["columns"]
            ]
    return "\n".join(parts) + "\n"


def _listed(path: str, kind: str) -> list[dict]:
    return yaml.safe_load((REPO / "dbt_project" / path).read_text())[kind]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dictionary())

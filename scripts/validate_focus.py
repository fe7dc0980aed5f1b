"""Check an exported FOCUS file with the FinOps Foundation's focus-validator, and say what it finds beyond what is known.

    .venv/bin/python scripts/validate_focus.py FILE.csv|FILE.parquet

The validator lives in an environment of its own (Python 3.12; pins in environments/focus-validator.txt): `.focus-validator/` in the repository,
or the executable that TOLLBOOK_FOCUS_VALIDATOR names. It runs offline, with the rules it carries (FOCUS 1.2) and every
applicability criterion. Status 1 where a rule fails that tests/focus_validator_expected.yml does not explain.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[1]
EXPECTED = REPO / "tests" / "focus_validator_expected.yml"
VERSION = "1.2"
# its own log, in debug, costs more than its checks
_LOGGING = "version: 1\nroot: {level: ERROR, handlers: []}\n"


def validator() -> Path | None:
    """The validator's executable, or None where it is not installed."""
    named = os.environ.get("TOLLBOOK_FOCUS_VALIDATOR")
    found = Path(named).absolute() if named else REPO / ".focus-validator" / "bin" / "focus-validator"
    return found if found.is_file() else None


def failed_rules(executable: Path, file: Path) -> set[str]:
    """The ids of the rules that ``file`` breaks; a composite only where none of its column's own rules fails.

    Raises:
        RuntimeError: the validator gave no result.
    """
    package = subprocess.run(
        [
            executable.parent / "python",
            "-c",
            "import importlib.util as u; print(u.find_spec('focus_validator').submodule_search_locations[0])",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as place:
        # it looks for its list of currencies, and writes its log, where it is started
        (Path(place) / "focus_validator").symlink_to(package)
        (Path(place) / "logging.yaml").write_text(_LOGGING)
        done = subprocess.run(
            [
                *(executable, "--data-file", file.absolute(), "--validate-version", VERSION, "--block-download"),
                *("--applicability-criteria", "ALL", "--output-type", "unittest", "--output-destination", "result.xml"),
            ],
            cwd=place,
            env={**os.environ, "LOGGING_CONFIG": "logging.yaml"},
            capture_output=True,
            text=True,
        )
        result = Path(place) / "result.xml"
        if not result.is_file():
            raise RuntimeError(f"focus-validator gave no result:\n{(done.stderr or done.stdout)[-2000:]}")
        cases = ET.parse(result).getroot().iter("testcase")
        failed = dict(case.get("name").split(" :: ") for case in cases if case.find("failure") is not None)
    rules = {rule for rule, kind in failed.items() if kind != "Composite"}
    columns = {rule.split("-")[0] for rule in rules}
    # the whole dataset is composed of its columns
    whole = {"CostAndUsage"} if rules else set()
    return rules | {rule for rule in failed if rule.split("-")[0] not in columns | whole}


def main(file: str) -> int:
    executable = validator()
    if executable is None:
        print("focus-validator is not installed: run `make focus-validator`, or set TOLLBOOK_FOCUS_VALIDATOR.", file=sys.stderr)
        return 2
    expected = yaml.safe_load(EXPECTED.read_text())
    known = expected["validator_defects"] | expected["not_on_the_bill"]
    failed = failed_rules(executable, Path(file))
    for rule in sorted(failed):
        print(f"{rule}: {known.get(rule, 'NOT EXPECTED')}")
    print(f"{len(failed)} rules fail, {len(failed - set(known))} of them not expected")
    return 1 if failed - set(known) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The demo workspace's ``tollbook.yml`` and ``config/``: how the fleet's owners are found, and what tokens cost."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

_SETTINGS = """\
# A made-up fleet. Who really owes what is in truth/.
currency: USD

sources:
  - {name: cloud_bill, format: focus, path: landing/cloud_bill/*.parquet}
  - {name: onprem_ledger, format: focus, path: landing/onprem_ledger/*.parquet, own: true}
  - {name: vendor_bill, format: focus, path: landing/vendor_bill/*.parquet}
  - {name: fleet, table: capacity, path: landing/fleet/*.parquet}
  - {name: k8s, table: holdings, path: landing/k8s/*.parquet}
  - {name: slurm, format: slurm_sacct, path: landing/slurm/*.txt, cluster: research, timezone: UTC}
  - name: gateway
    table: requests
    path: landing/gateway/*.parquet
    select: >-
      select
        time as requested_at,
        request as request_id,
        team,
        customer as tenant,
        feature,
        vendor as provider,
        model,
        prompt_tokens as input_tokens,
        cached_tokens as cached_input_tokens,
        completion_tokens as output_tokens,
        latency_s * 1000 as latency_ms,
        status
      from delivery
  - {name: dcgm, table: gpu_samples, path: landing/dcgm/*.parquet}
"""

_INVOICES = """\
  - {name: invoices, table: invoices, path: landing/invoices/*.parquet}
"""

_GATES = """\
# The fleet lives in days of its own, so their age says nothing. A live workspace has {warn_above: 3}
freshness_days: {warn_above: }
tag_coverage: {warn_below: 0.5, error_below: 0.0}
unowned_ratio: {warn_above: 0.05}
"""

#: What the vendor charges: its bill and the price book agree.
PRICE_COLUMNS = ("provider", "model", "token_kind", "price_per_million")
PRICES = (
    ("Lumen AI", "lumen-large", "input", "3.00"),
    ("Lumen AI", "lumen-large", "cached_input", "0.30"),
    ("Lumen AI", "lumen-large", "output", "15.00"),
    ("Lumen AI", "lumen-small", "input", "0.25"),
    ("Lumen AI", "lumen-small", "cached_input", "0.03"),
    ("Lumen AI", "lumen-small", "output", "1.25"),
)


#: How many inferences bear what it cost to train falcon-7b.
TRAINING_LIFE = 100_000


def write(directory: Path, teams: Sequence[str], start: date, is_invoiced: bool) -> None:
    """Write settings and rules: tags first, then sub-account, namespace or Slurm account, which bear the team's name.

    The rules hold from the first of January of the year of ``start`` on. Invoices are a source where ``is_invoiced``: one without a file fails.
    """
    config = directory / "config"
    since = str(start.replace(month=1, day=1))
    config.mkdir(exist_ok=True)
    (directory / "tollbook.yml").write_text(_SETTINGS + (_INVOICES if is_invoiced else ""))
    (config / "gates.yml").write_text(_GATES)

    owners = [("tag-team", 10, "tag:team", "*", "{value}")]
    for team in teams:
        owners += [
            (f"sub-account-{team}", 20, "sub_account_id", f"acct-{team}", team),
            (f"namespace-{team}", 20, "namespace", f"ns-{team}", team),
            (f"account-{team}", 20, "account", team, team),
        ]
    owners += [(f"service-{word.lower()}", 30, "service_name", f"Nimbus {word}", "platform") for word in ("Support", "Tax")]
    _table(config, since, "teams", "team,cost_centre", ((team, f"CC-{100 + place}") for place, team in enumerate(teams)))
    _table(config, since, "owners", "rule_id,priority,field,pattern,team", owners)
    _table(config, since, "required_tags", "tag", [("team",), ("environment",)])
    _table(config, since, "prices", ",".join((*PRICE_COLUMNS, "currency")), ((*row, "USD") for row in PRICES))
    _table(config, since, "policies", "policy,value", [("model_cost_charged_to", "consumers")])
    _table(config, since, "exchange_rates", "from_currency,to_currency,rate", [])
    # pods named train made falcon-7b
    runs = [("falcon", "falcon-7b", "", "train", "inferences", TRAINING_LIFE, since)]
    _table(config, since, "training_runs", "rule_id,model,model_version,job,amortise_by,life,in_service_on", runs)


def _table(config: Path, since: str, name: str, columns: str, rows: Iterable[tuple]) -> None:
    with (config / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns.split(","), "valid_from", "valid_to"])
        writer.writerows((*row, since, "") for row in rows)

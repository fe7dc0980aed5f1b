"""A workspace: the user's own folder with ``tollbook.yml``, ``config/``, ``landing/``, the warehouse and what is published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import duckdb
import tenacity
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tollbook.errors import BusyError, ConfigError, TollbookError
from tollbook.landing.manifests import KINDS

SETTINGS_FILE = "tollbook.yml"
#: Seconds that a writer waits for a reader of the warehouse.
_LONGEST_READ = 60
# A published file must open in clients from DuckDB 1.5 on.
STORAGE_VERSION = "v1.5.0"

#: Formats with a reader of their own, and the canonical table each one fills.
FORMATS = {
    "focus": "billing_lines",
    "aws_cur": "billing_lines",
    "gcp_billing": "billing_lines",
    "azure_cost": "billing_lines",
    "oci_cost": "billing_lines",
    "openai_costs": "billing_lines",
    "anthropic_cost": "billing_lines",
    "openai_usage": "vendor_usage",
    "anthropic_usage": "vendor_usage",
    "focus_contract_commitment": "contract_commitments",
    "focus_billing_period": "billing_periods",
    "focus_invoice_detail": "invoices",
    "genai_prices": "prices",
    "prometheus_gpu": "gpu_samples",
    "prometheus_gpu_capacity": "capacity",
    "prometheus_gpu_instances": "gpu_instances",
    "kubernetes_pods": "holdings",
    "kubernetes_nodes": "capacity",
    "kube_state_metrics_pods": "holdings",
    "kube_state_metrics_nodes": "capacity",
    "slurm_sacct": "holdings",
    "slurm_nodes": "capacity",
    "slurm_events": "capacity",
    "opencost_allocation": "holdings",
    "opencost_usage": "resource_usage",
    "github_actions": "holdings",
    "gitlab_ci": "holdings",
    "aws_lambda": "holdings",
    "litellm_spend": "requests",
    "otel_genai": "requests",
    "otel_spans": "spans",
    "bedrock_invocations": "requests",
    "langfuse_observations": "requests",
    "vllm_log": "requests",
    "tgi_log": "requests",
    "triton_log": "requests",
}
_SECRET = re.compile(
    r"(?i)(^|_)(key|key_id|secret|token|password|passwd|credentials?|connection_string|sas|username|signature|authorization)$"
    r"|(access|secret|account|api)[-_]?key"
)
#: What gcsfs takes for ``token`` that is none.
_METHODS = ("anon", "cloud", "google_default", "browser")
#: Tables whose rows are the user's own ledger: their costs are nobody's invoice.
OWN_TABLES = ("assets", "asset_costs")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


@cache
def canonical_tables() -> dict[str, dict[str, Any]]:
    """The canonical tables by name: description, span, columns (type, required), checks."""
    text = (Path(__file__).parent / "sources" / "canonical.yml").read_text()
    return yaml.safe_load(text)


def protocol_of(path: str) -> str:
    """The protocol of a source's path: ``file`` for a folder of this machine."""
    return path.split("://", 1)[0].lower() if "://" in path else "file"


def _secrets(options: Any, inside: str = "") -> Iterator[str]:
    """The keys, however deep, that hold a credential; names of a method to find one are none."""
    for key, value in options.items() if isinstance(options, dict) else ():
        if isinstance(value, dict):
            yield from _secrets(value, f"{inside}{key}.")
        elif _SECRET.search(str(key)) and value not in (*_METHODS, None, True, False):
            yield f"{inside}{key}"


class Source(BaseModel):
    """One entry of ``sources`` in ``tollbook.yml``.

    ``format`` names a reader, or ``table`` a canonical table whose columns the file has or ``select`` makes.
    ``partition`` is a regular expression on the file's path: its group ``partition`` (or the whole match) says which
    deliveries replace each other, its group ``version`` which is newer. Without it each path is a partition of its own,
    and what lies there now is the newest. ``manifest`` names a kind of manifest that says when a delivery is complete.
    ``vendor_log`` marks requests as the vendor's own log: compared with what was logged here, never counted.
    ``options`` are the reader's own; it refuses what it does not know.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    path: str
    format: Literal[tuple(FORMATS)] | None = None
    table: str | None = None
    select: str | None = None
    partition: str | None = None
    currency: Currency | None = None
    cluster: str | None = None
    timezone: str = "UTC"
    columns: list[str] | None = None
    own: bool = False
    vendor_log: bool = False
    manifest: str | None = None
    storage_options: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def one_way_in(self) -> Source:
        if (self.format is None) == (self.table is None):
            raise ValueError("give either `format` (a reader) or `table` (a canonical table), not both or none")
        if self.format and self.select:
            raise ValueError("`select` belongs to a mapped source: replace `format` by `table`")
        self.table = self.table or FORMATS[self.format]
        if self.table not in canonical_tables():
            raise ValueError(f"no canonical table `{self.table}`; there are: {', '.join(canonical_tables())}")
        if self.timezone != "UTC" and not (self.format or "").startswith("slurm_"):
            raise ValueError(
                "`timezone` is for the Slurm formats, whose clock is local; other files have offsets or UTC, or a `select` that shifts them"
            )
        if self.vendor_log and self.table != "requests":
            raise ValueError("`vendor_log` is for requests: a log that the vendor keeps of them")
        self.own = self.own or self.table in OWN_TABLES
        return self

    @model_validator(mode="after")
    def storage_is_safe(self) -> Source:
        if "::" in self.path and "://" in self.path:
            raise ValueError("`path` is one URL; chained ones ('::') are not opened")
        protocol = protocol_of(self.path)
        if protocol != "file" and re.match(r"[^/]*:[^/]*@", self.path.split("://", 1)[1]):
            raise ValueError("`path` has a password in it: tollbook.yml is read by many. Give it in the environment")
        if self.storage_options and protocol == "file":
            raise ValueError("`storage_options` belong to a `path` in object storage, such as s3://bucket/prefix/*")
        secret = next(_secrets(self.storage_options), None)
        if secret:
            raise ValueError(
                f"`storage_options` has {secret}: tollbook.yml is read by many and kept in version control, so it holds no credentials."
                " Give them in the environment or the provider's own chain (AWS_PROFILE, a role, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_*)"
            )
        if self.manifest is not None and self.manifest not in KINDS:
            raise ValueError(f"no kind of manifest `{self.manifest}`; there are: {', '.join(KINDS)}")
        return self

    def option(self, name: str, default: Any = None, choices: tuple | None = None) -> Any:
        """One of the reader's options.

        Raises:
            ConfigError: its value is none of ``choices``.
        """
        value = self.options.get(name, default)
        if choices and value not in choices:
            raise ConfigError(f"{self.name}: option {name} is {value!r}; it must be one of {', '.join(map(repr, choices))}.")
        return value

    def refuse_other_options(self, *known: str) -> None:
        """Raise ConfigError for an option that the reader does not know."""
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            said = f"it knows {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"{self.name}: {self.format or self.table} has no option {', '.join(unknown)}; {said}.")

    @property
    def is_billing(self) -> bool:
        return self.table == "billing_lines"


class Settings(BaseModel):
    """``tollbook.yml``: the reporting currency, the sources, the memory; which environment variable has the key of users' pseudonyms."""

    model_config = ConfigDict(extra="forbid")

    currency: Currency
    sources: list[Source] = Field(default_factory=list)
    memory_limit: str | None = None
    user_key_env: str | None = None

    @model_validator(mode="after")
    def names_are_unique(self) -> Settings:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source name used twice: {', '.join(twice)}")
        return self


class Workspace:
    """Paths and settings of one workspace."""

    def __init__(self, root: Path, settings: Settings):
        self.root = root
        self.settings = settings

    @classmethod
    def open(cls, path: Path | str | None = None) -> Workspace:
        """Open the workspace at ``path``, else at ``TOLLBOOK_WORKSPACE``, else here.

        Raises:
            ConfigError: there is no ``tollbook.yml``, or a key of it cannot be used.
        """
        root = Path(path or os.environ.get("TOLLBOOK_WORKSPACE") or ".").resolve()
        file = root / SETTINGS_FILE
        if not file.is_file():
            raise ConfigError(f"{root} is no workspace: it has no {SETTINGS_FILE}. Make one with `tollbook init {root}`.")
        try:
            settings = Settings.model_validate(yaml.safe_load(file.read_text()) or {})
        except yaml.YAMLError as error:
            raise ConfigError(f"{file} is not valid YAML: {error}") from error
        except ValidationError as error:
            faults = "; ".join(f"{_where(fault['loc'])}: {fault['msg']}" for fault in error.errors())
            raise ConfigError(f"{file}: {faults}") from error
        return cls(root, settings)

    @property
    def currency(self) -> str:
        return self.settings.currency

    @property
    def sources(self) -> list[Source]:
        return self.settings.sources

    def source(self, name: str) -> Source:
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources) or "none"
        raise ConfigError(f"{self.root / SETTINGS_FILE} has no source `{name}`; it has: {known}")

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def deliveries(self) -> Path:
        """Every delivered file by content: the landing folder may be emptied or overwritten."""
        return self.root / "deliveries"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def closed(self) -> Path:
        """What closed months are made of, a folder each: kept like the deliveries."""
        return self.root / "closed"

    @property
    def statements(self) -> Path:
        return self.root / "statements"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def published_db(self) -> Path:
        return self.published / "tollbook.duckdb"

    @property
    def lock_file(self) -> Path:
        return self.root / ".warehouse.lock"

    @property
    def temp(self) -> Path:
        return self.root / ".tmp"

    def require_warehouse(self) -> None:
        """Raise TollbookError where nothing was ever loaded: what reads or adds to the ledger makes no empty one."""
        if not self.warehouse.is_file():
            raise TollbookError(f"nothing is loaded in {self.root} yet. Run `tollbook run`.")

    def connect(self, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection to the warehouse; times in UTC, nothing fetched from anywhere. Who writes waits a minute for those who read.

        Raises:
            BusyError: another process still had the file open.
        """
        try:
            for attempt in tenacity.Retrying(
                retry=tenacity.retry_if_exception(lambda error: isinstance(error, duckdb.IOException) and "lock" in str(error)),
                stop=tenacity.stop_after_delay(0 if read_only else _LONGEST_READ),
                wait=tenacity.wait_fixed(0.5),
                reraise=True,
            ):
                with attempt:
                    db = duckdb.connect(str(self.warehouse), read_only=read_only, config=self.duckdb_config())
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            raise BusyError(
                f"another process has {self.warehouse} open: {str(error).splitlines()[0]}. Ask again when it is done."
            ) from error
        db.execute("set TimeZone = 'UTC'")
        return db

    def duckdb_config(self) -> dict[str, str]:
        config = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(self.temp),
        }
        if self.settings.memory_limit:
            config["memory_limit"] = self.settings.memory_limit
        return config


def _where(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location) or "file"

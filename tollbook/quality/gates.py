"""``config/gates.yml``: where a check warns (the publish is marked) and where it is an error (the publish stops)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tollbook.errors import ConfigError
from tollbook.quality.results import Limit

GATES_FILE = "gates.yml"


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number, or empty to switch the limit off")
    return value


Number = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False, le=1e15)]


class Gate(BaseModel):
    """Limits on one figure, each in the figure's own unit; a limit that is empty does not apply."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def limits(self, observed: float | None) -> tuple[Limit, ...]:
        """The limits to hold ``observed`` against, ``warn`` before ``error``."""
        found = []
        for severity in ("warn", "error"):
            low, high = getattr(self, f"{severity}_below", None), getattr(self, f"{severity}_above", None)
            if low is not None or high is not None:
                sides = [f"below {low:g}" if low is not None else "", f"above {high:g}" if high is not None else ""]
                found.append(Limit(severity, observed, low, high, f"{severity} {' or '.join(filter(None, sides))}"))
        return tuple(found)


class Above(Gate):
    warn_above: Number | None = None
    error_above: Number | None = None

    def exact(self) -> tuple[str | None, str | None]:
        """Both limits as plain decimals, for DuckDB to compare with money: no binary float on the way."""
        return tuple(None if one is None else f"{Decimal(repr(one)):f}" for one in (self.warn_above, self.error_above))

    def parameters(self) -> dict[str, str | None]:
        """The exact limits as the parameters of a query."""
        return dict(zip(("warn_above", "error_above"), self.exact(), strict=True))

    def counted(self, beyond_warn: int, beyond_error: int) -> tuple[Limit, ...]:
        """The limits where DuckDB has compared and only the rows beyond a limit are counted: none may be."""
        found = []
        for severity, limit, rows in (
            ("warn", self.warn_above, beyond_warn),
            ("error", self.error_above, beyond_error),
        ):
            if limit is not None:
                text = f"{severity} unless 0" if limit == 0 else f"{severity} where more than {limit:g} from 0"
                found.append(Limit(severity, float(rows), None, 0.0, text, of="rows_beyond"))
        return tuple(found)


class Below(Gate):
    warn_below: Number | None = None
    error_below: Number | None = None


class Band(Above, Below):
    pass


class SourceGates(BaseModel):
    """The gates that a source may have limits of its own for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: without a current delivery the source is an error, not a warning
    required: Annotated[bool, Field(strict=True)] = False
    #: days from the newest day covered to now
    freshness_days: Above = Above(warn_above=3)
    #: rows of the newest delivery, divided by the median of those before it
    row_volume: Band = Band(warn_below=0.5, warn_above=2)
    #: share of a delivery's rows that are in quarantine; the worst delivery counts
    quarantine_ratio: Above = Above(warn_above=0, error_above=0.5)
    #: columns that came or went from one delivery to the next
    schema_drift: Above = Above(warn_above=0)
    #: deliveries whose last attempt failed
    failed_deliveries: Above = Above(warn_above=0)
    #: billing lines whose currency the file did not name
    assumed_currency: Above = Above(warn_above=0)
    #: share of the money that carries a required tag
    tag_coverage: Below = Below(warn_below=0.95, error_below=0)
    #: share of the money that no rule gives an owner
    unowned_ratio: Above = Above(warn_above=0.02)
    #: days of a month to close that a bill which is not final does not cover
    missing_bill_days: Above = Above(error_above=0)
    #: days of a month to close without telemetry of what is measured or held day by day: they may have been quiet
    missing_telemetry_days: Above = Above(warn_above=0)


class CloseGates(BaseModel):
    """What is held against a month when it is closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: share of what is charged in the month that nobody owns
    unowned_ratio: Above = Above(error_above=0.1)


class Gates(SourceGates):
    """All gates, their defaults, and what single sources have otherwise. A cent is conserved for every source alike."""

    #: effective cost less allocated cost and buckets, in the reporting currency
    reconciliation_delta: Above = Above(error_above=0)
    #: what the terms between billed and charged leave unexplained, in the reporting currency
    bridge_remainder: Above = Above(error_above=0)
    #: effective cost less billed chargeback, in the reporting currency
    chargeback_delta: Above = Above(error_above=0)
    #: what an invoice states less its lines and their rounding, in its billing currency
    invoice_delta: Above = Above(warn_above=0)
    #: share of the usage (GPU hours, tokens) that has no cost
    null_cost_ratio: Above = Above(warn_above=0.05)
    #: rows without a cost that do not say why
    null_cost_without_reason: Above = Above(error_above=0)
    #: commitments that are over and whose usage does not cost what they were bought for
    unsettled_commitments: Above = Above(warn_above=0)
    #: teams, components, drivers, clusters and pools that a rule names and that are nowhere
    unknown_names: Above = Above(warn_above=0)
    #: share of a vendor's cost in the newest month for which its count and the log of requests do not agree
    unmatched_usage_ratio: Above = Above(warn_above=0.01)
    close: CloseGates = CloseGates()
    sources: dict[str, SourceGates] = {}

    @classmethod
    def read(cls, ws_config: Path) -> Gates:
        """The gates of the workspace's ``config`` folder; what the file does not name keeps its default.

        A source's own gate changes single limits of the general one. An empty limit (``warn_above:``) switches it off.

        Raises:
            ConfigError: the file is not YAML, or a key is unknown or of the wrong type; the message names file and key.
        """
        file = ws_config / GATES_FILE
        if not file.is_file():
            return cls()
        try:
            given = yaml.safe_load(file.read_text()) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not valid YAML: {error}") from error
        given = _mapping(file, "the file", given)
        own = _mapping(file, "sources", given.pop("sources", None) or {})
        general = _merge(file, "", cls().model_dump(exclude={"sources"}), given)
        for_sources = {name: general[name] for name in SourceGates.model_fields}
        sources = {
            str(name): _merge(file, f"sources.{name}.", for_sources, _mapping(file, f"sources.{name}", gates or {}))
            for name, gates in own.items()
        }
        try:
            return cls(**general, sources=sources)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, not {fault['input']!r}" for fault in error.errors())
            raise ConfigError(f"{file}: {faults}") from error

    def of(self, source: str) -> SourceGates:
        """The gates that hold for one source."""
        return self.sources.get(source, self)


def _merge(file: Path, where: str, known: dict[str, Any], given: dict[Any, Any]) -> dict[str, Any]:
    """``known`` with the values of ``given``, which may have no other keys."""
    merged = dict(known)
    for key, value in given.items():
        if key not in known:
            raise ConfigError(f"{file}: {where}{key}: unknown key; known here: {', '.join(known)}.")
        if isinstance(known[key], dict):
            value = _merge(file, f"{where}{key}.", known[key], _mapping(file, f"{where}{key}", value))
        merged[key] = value
    return merged


def _mapping(file: Path, where: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: {where} should be keys and values, not {value!r}.")
    return dict(value)

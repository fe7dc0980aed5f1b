"""What the model vendors' reports are asked for: endpoints, limits, dimensions, how the key is sent.

Sources: OpenAI API reference, "Administration: Usage, Costs"; Claude API reference, "Admin API: Get Cost Report, Get Messages
Usage Report".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

_BY_WIDTH = {"1d": 31, "1h": 168, "1m": 1440}
_OPENAI_USAGE = {
    "completions": ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier"),
    "embeddings": ("project_id", "user_id", "api_key_id", "model"),
    "moderations": ("project_id", "user_id", "api_key_id", "model"),
    "images": ("project_id", "user_id", "api_key_id", "model", "size", "source"),
    "audio_speeches": ("project_id", "user_id", "api_key_id", "model"),
    "audio_transcriptions": ("project_id", "user_id", "api_key_id", "model"),
    "vector_stores": ("project_id",),
    "code_interpreter_sessions": ("project_id",),
}
KINDS = tuple(_OPENAI_USAGE)


@dataclass(frozen=True)
class Api:
    """One report: its paths by kind with what each can be grouped by, and buckets a page by bucket width (the most there are)."""

    is_openai: bool
    paths: dict[str, tuple[str, tuple[str, ...]]]
    limits: dict[str, int]

    @property
    def base_url(self) -> str:
        return "https://api.openai.com" if self.is_openai else "https://api.anthropic.com"

    @property
    def key_env(self) -> str:
        return "OPENAI_ADMIN_KEY" if self.is_openai else "ANTHROPIC_ADMIN_KEY"

    def headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if self.is_openai else {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def query(self, kind: str, start: date, end: date, width: str, group_by: tuple[str, ...] | None) -> list[tuple[str, str]]:
        """The parameters for the days [start, end), the page's cursor left out."""
        dimensions = self.paths[kind][1] if group_by is None else group_by
        first, last = (datetime.combine(day, time(), UTC) for day in (start, end))
        if self.is_openai:
            period = [("start_time", str(int(first.timestamp()))), ("end_time", str(int(last.timestamp())))]
            groups = [("group_by", name) for name in dimensions]
        else:
            period = [("starting_at", f"{first:%Y-%m-%dT%H:%M:%SZ}"), ("ending_at", f"{last:%Y-%m-%dT%H:%M:%SZ}")]
            groups = [("group_by[]", name) for name in dimensions]
        return [*period, ("bucket_width", width), ("limit", str(self.limits[width])), *groups]


APIS = {
    "openai_costs": Api(True, {"costs": ("/v1/organization/costs", ("project_id", "line_item"))}, {"1d": 180}),
    "openai_usage": Api(True, {kind: (f"/v1/organization/usage/{kind}", by) for kind, by in _OPENAI_USAGE.items()}, _BY_WIDTH),
    "anthropic_cost": Api(False, {"cost_report": ("/v1/organizations/cost_report", ("workspace_id", "description"))}, {"1d": 31}),
    "anthropic_usage": Api(
        False,
        {
            "messages": (
                "/v1/organizations/usage_report/messages",
                # the API may take fewer at once than there are; these say who used what
                ("workspace_id", "api_key_id", "model", "service_tier", "context_window"),
            )
        },
        _BY_WIDTH,
    ),
}


def day_of(moment: int | float | str) -> date:
    """The UTC day of a bucket's start: epoch seconds, or RFC 3339 text.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment, UTC).date()
    found = datetime.fromisoformat(moment)
    return (found.astimezone(UTC) if found.tzinfo else found).date()

"""What the readers of request logs share: JSON within text, moments, what the options name, whose models they are, how input is counted.

- **Input.** Canonical ``input_tokens`` is uncached and cached input together, cache writes beside it. Logs count either all of it
  (reads and writes included) or only what was neither read from a cache nor written to one. ``input_tokens: auto`` takes the format's own
  convention unless the numbers cannot be so (reads and writes alone are more than the input): then the input is without both.
- **Own fleet.** Systems and hosts that the option ``own`` names have no provider: nobody bills them.
- **Text of prompts and answers is never kept**, nor are addresses, mail addresses and other names of persons: see ``PRIVATE``.
"""

from __future__ import annotations

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources.records import json_path
from tollbook.sources.typing import quoted, text
from tollbook.workspace import Source

#: Systems that serve models of one's own, unless the option ``own`` says otherwise.
OWN = (
    "vllm", "hosted_vllm", "tgi", "text-generation-inference", "triton", "ollama", "ollama_chat", "sglang", "llamafile", "lm_studio",
    "llama.cpp", "lmdeploy", "ray_serve", "kserve",
)  # fmt: skip
#: What vendors' bills call those that the logs call otherwise.
PROVIDERS = {
    "openai": "OpenAI",
    "text-completion-openai": "OpenAI",
    "anthropic": "Anthropic",
    "aws.bedrock": "AWS",
    "aws_bedrock": "AWS",
    "bedrock": "AWS",
    "bedrock_converse": "AWS",
    "azure": "Microsoft",
    "azure_ai": "Microsoft",
    "azure.ai.openai": "Microsoft",
    "azure.ai.inference": "Microsoft",
    "az.ai.openai": "Microsoft",
    "az.ai.inference": "Microsoft",
    "gcp.vertex_ai": "Google Cloud",
    "vertex_ai": "Google Cloud",
    "gcp.gemini": "Google Cloud",
    "gemini": "Google Cloud",
    "gcp.gen_ai": "Google Cloud",
}
#: Dimensions that options may place: the name of a field, or of several of which the first with a value counts.
DIMENSIONS = ("user", "team", "tenant", "feature", "variant", "version", "retry_of", "fallback_of", "idempotency_key", "job", "holding")
#: Keys whose values say who somebody is or what was written: left out of ``other_columns``, at the top and in metadata.
PRIVATE = (
    "messages", "response", "prompt", "prompts", "completion", "completions", "input", "output", "body", "content", "proxy_server_request",
    "requester_ip_address", "user_api_key", "user_api_key_user_id", "user_api_key_user_email", "user_api_key_end_user_id", "api_key",
    "user_email", "email", "ip", "ip_address", "headers", "userId", "user_id", "user", "end_user", "statusMessage", "error_message",
    "traceback", "vector_store_request_metadata", "guardrail_information", "mcp_tool_call_metadata", "requester_custom_headers", "tool_calls",
)  # fmt: skip

_MACROS = r"""
create or replace temp macro req_json(j) as case
    when json_type(j) = 'VARCHAR' then try_cast(j->>'$' as json)
    when json_type(j) = 'NULL' then null
    else j
end;
create or replace temp macro req_time(t) as case
    when regexp_full_match(t, '[0-9]{9,10}([.][0-9]+)?') then make_timestamp((try_cast(t as decimal(28, 9)) * 1000000)::bigint)
    when regexp_full_match(t, '[0-9]{13}([.][0-9]+)?') then make_timestamp((try_cast(t as decimal(28, 6)) * 1000)::bigint)
    when regexp_full_match(t, '[0-9]{16}') then make_timestamp(try_cast(t as bigint))
    when regexp_full_match(t, '[0-9]{19}') then make_timestamp(try_cast(t as hugeint)::bigint // 1000)
    when regexp_matches(t, '(Z|[+-][0-9]{2}(:?[0-9]{2})?)$') and t like '%:%' then try_cast(t as timestamptz) at time zone 'UTC'
    else try_cast(t as timestamp)
end;
create or replace temp macro req_ms(from_at, until_at) as (epoch_us(until_at) - epoch_us(from_at)) / 1000.0::double;
create or replace temp macro req_count(t) as try_cast(try_cast(t as decimal(38, 6)) as bigint);
"""


def prepare(db: duckdb.DuckDBPyConnection) -> None:
    """Make the macros that the SQL of this module calls."""
    db.execute(_MACROS)


def moment(column: str, value: str) -> str:
    """The SQL of a moment as text with its offset, or as delivered where it is none: typing then says so."""
    return f"coalesce(strftime(req_time({value}), '%Y-%m-%dT%H:%M:%S.%fZ'), {value}) as {column}"


def input_tokens(source: Source, stated: str, read: str, written: str, *, is_all: bool) -> str:
    """The SQL of canonical input from what was stated; ``is_all``: the format counts reads and writes in it.

    Raises:
        ConfigError: option ``input_tokens`` is not known.
    """
    mode = source.option("input_tokens", "auto", ("auto", "all", "without_cache"))
    stated, read, written = f"req_count({stated})", f"coalesce(req_count({read}), 0)", f"coalesce(req_count({written}), 0)"
    uncached = f"{stated} + {read}"
    if mode == "without_cache" or (mode == "auto" and not is_all):
        return uncached
    if mode == "all":
        return f"{stated} - {written}"
    return f"case when {stated} < {read} + {written} then {uncached} else {stated} - {written} end"


def provider(source: Source, name: str, host: str = "null") -> str:
    """The SQL of who bills: the bill's name of a system; NULL for one's own, by the system's name or the host's.

    Raises:
        ConfigError: option ``own`` is no list, or ``providers`` no mapping.
    """
    own, names = source.option("own", list(OWN)), source.option("providers", {})
    if not isinstance(own, list) or not all(isinstance(one, str) for one in own):
        raise ConfigError(f"{source.name}: option own is a list of systems or hosts that are yours, such as [vllm, '*.svc.cluster.local'].")
    if not isinstance(names, dict):
        raise ConfigError(f"{source.name}: option providers maps names in the log to names on the bill, such as {{openai: OpenAI}}.")
    known = {**PROVIDERS, **{str(key).lower(): str(value) for key, value in names.items()}}
    cases = " ".join(f"when {text(key)} then {text(value)}" for key, value in known.items())
    plain = ", ".join(text(one.lower()) for one in own if not set(one) & set("*?["))
    mine = [f"lower({part}) in ({plain})" for part in (name, host) if part != "null" and plain]
    mine += [f"lower({part}) glob {text(one.lower())}" for one in own if set(one) & set("*?[") for part in (name, host) if part != "null"]
    return f"case when {' or '.join(mine) or 'false'} then null else case lower({name}) {cases} else {name} end end"


def paths(source: Source, option: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The fields that an option names, or the format's own.

    Raises:
        ConfigError: it is neither a name nor a list of names.
    """
    value = source.option(option, list(default))
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigError(f"{source.name}: option {option} is the name of a field, or a list of them.")
    return tuple(value)


class Fields:
    """Values of a JSON column, each record parsed once: what ``text`` asked for is an element of the list that ``sql`` makes."""

    def __init__(self, name: str = "said"):
        self._name = name
        self._paths: dict[str, int] = {}

    def text(self, *names: str) -> str:
        """The SQL of the first of the fields (keys joined by dots) that has a value, as text; NULL where none has."""
        found = []
        for name in names:
            found.append(self.at(json_path(*name.split("."))))
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def at(self, path: str) -> str:
        """The SQL of the value at a path of the engine's, as text."""
        place = self._paths.setdefault(path, len(self._paths) + 1)
        return f"nullif(trim({self._name}[{place}]), '')"

    def sql(self, record: str) -> str:
        """The SQL that makes the list, once all is asked for."""
        return f"json_extract_string({record}, [{', '.join(text(path) for path in self._paths)}]) as {self._name}"


def placed(source: Source, option: str, default: tuple[str, ...], fields: Fields, tags: str = "null") -> str:
    """The SQL of the first field that the option names: keys joined by dots, or ``tag:NAME`` of ``NAME:value`` in tags."""
    found = [_tag(tags, path[4:]) if path.startswith("tag:") else fields.text(path) for path in paths(source, option, default)]
    return f"coalesce({', '.join([*found, 'null'])})" if found else "null::varchar"


def _tag(tags: str, name: str) -> str:
    start = f"{name}[:=]"
    found = f"list_filter({tags}, lambda one: regexp_matches(one, '^{start}'))[1]" if name.isidentifier() else "null::varchar"
    return f"nullif(trim(regexp_replace({found}, '^{start}', '')), '')"


def faulty(**numbers: str) -> str:
    """The SQL of the first of the named texts that is meant as a number and is none: what quarantine is told (NULL: all are)."""
    cases = " ".join(
        f"when ({value}) is not null and try_cast(({value}) as decimal(38, 6)) is null"
        f" then {{'column_name': {text(name)}, 'value': null::varchar, 'reason': 'is not a number'}}"
        for name, value in numbers.items()
    )
    return f"case {cases} end::struct(column_name varchar, value varchar, reason varchar)"


def rest(record: str, *known: str) -> str:
    """The SQL of JSON text without the keys that are ``known`` or private, or have no value; NULL where nothing is left."""
    without = ",".join(f"{_json_text(name)}:null" for name in dict.fromkeys((*known, *PRIVATE)))
    return f"nullif(nullif(json_merge_patch('{{}}'::json, {record}, {text('{' + without + '}')}::json)::varchar, '{{}}'), 'null')"


def together(over: str, **parts: str) -> str:
    """The SQL of the text of a JSON object ``over`` (NULL: an empty one) with further keys of JSON text, those that are NULL left out."""
    pairs = ", ".join(f"{text(_json_text(name) + ':')} || ({value})" for name, value in parts.items())
    return f"nullif('{{' || concat_ws(',', nullif(substr({over}, 2, length({over}) - 2), ''), {pairs}) || '}}', '{{}}')"


def _json_text(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def columns(**parts: str) -> str:
    """The SQL of a select list."""
    return ", ".join(f"{value} as {quoted(name)}" for name, value in parts.items())

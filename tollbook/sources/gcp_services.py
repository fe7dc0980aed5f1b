"""Which FOCUS service category a Google Cloud service belongs to, by words of its name; the first that matches counts."""

from __future__ import annotations

from tollbook.sources.typing import text

_WORDS = {
    "AI and Machine Learning": r"vertex|\bai\b|gemini|machine learning|automl|dialogflow|translat|vision|speech|natural language|\btpu\b",
    "Databases": r"cloud sql|spanner|bigtable|firestore|datastore|memorystore|alloydb|database",
    "Analytics": r"bigquery|dataflow|dataproc|dataplex|data fusion|looker|composer|analytics|data catalog",
    "Integration": r"pub/sub|tasks|scheduler|workflows|eventarc|apigee|api gateway|integration",
    "Networking": r"network|dns|\bcdn\b|\bvpn\b|\bvpc\b|\bnat\b|interconnect|load balanc|armor",
    "Security": r"secur|\bkms\b|key management|secret manager|certificate|recaptcha|chronicle",
    "Identity": r"identity|\biam\b",
    "Storage": r"storage|filestore|backup|netapp",
    "Developer Tools": r"cloud build|artifact|container registry|source repositor|workstations|deploy",
    "Management and Governance": r"logging|monitoring|operations|stackdriver|\btrace\b|profiler|deployment manager",
    "Web": r"firebase|maps",
    "Migration": r"migrat|transfer",
    "Media": r"transcoder|media|video",
    "Compute": r"compute|kubernetes|cloud run|functions|app engine|vmware|batch|\bgke\b|bare metal",
}


def service_category(name: str) -> str:
    """The SQL of the category of the service that the SQL ``name`` gives; 'Other' where no word tells."""
    cases = " ".join(f"when regexp_matches({name}, {text('(?i)' + words)}) then {text(category)}" for category, words in _WORDS.items())
    return f"case {cases} else 'Other' end"

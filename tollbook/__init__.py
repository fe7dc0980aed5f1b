"""Tollbook: the cost warehouse for AI infrastructure."""

import os

# Nothing here talks to anyone: every part's telemetry is off before the part is imported.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

__version__ = "0.5.0"

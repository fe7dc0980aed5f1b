"""The gates at the two edges: what arrives, what leaves. Great Expectations judges profiles that DuckDB computed."""

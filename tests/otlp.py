"""OTLP JSON as exporters write it, for tests."""

TEN = "1772359200000000000"
TRACE = "5b8efff798038103d269b633813fc60c"


def attributes(of):
    """Attributes as OTLP's list of keys and values; whole numbers are texts there."""
    return [{"key": key, "value": _value(value)} for key, value in of.items()]


def _value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": value}


def span(number, parent, name, seconds, said, kind=3):
    """A span from ten o'clock on, for so many seconds; ``span_trace`` among the attributes is its trace."""
    said = dict(said)
    return {
        "traceId": said.pop("span_trace", said.pop("span.trace", TRACE)), "spanId": f"{number:016x}", "parentSpanId": parent, "flags": 256, "name": name,
        "kind": kind, "startTimeUnixNano": TEN, "endTimeUnixNano": str(int(TEN) + int(seconds * 1_000_000_000)),
        "attributes": attributes(said), "status": {},
    }  # fmt: skip


def document(*spans, service="gateway", **resource):
    """An ExportTraceServiceRequest of one resource."""
    told = attributes({"service.name": service} | resource)
    return {"resourceSpans": [{"resource": {"attributes": told}, "scopeSpans": [{"scope": {"name": "otel.openai"}, "spans": list(spans)}]}]}

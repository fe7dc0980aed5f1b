"""The pictures of the page, as plotly figures. Colours are names of the page's own, resolved in the reader's theme.

Plotly reads tags and entities in any text it draws, so every name from a bill is escaped here (``_label``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from html import escape

import duckdb
import plotly.graph_objects as go

from tollbook.report import figures
from tollbook.report.formats import amount, hours, rate, total
from tollbook.report.money import BUCKETS, Money
from tollbook.report.tables import in_currency

#: Layers of GPU time from the bottom up: what they are called, and colour and pattern, so that neither is needed to tell them apart.
LAYERS = {
    "productive": ("productive (held, at work)", "var(--held)", ""),
    "quiet": ("quiet (held, not at work)", "var(--quiet)", "\\"),
    "unseen": ("unseen (held, nobody looked)", "var(--unseen)", "."),
    "idle": ("idle (held by nobody)", "var(--idle)", "/"),
    "stranded": ("stranded (nobody could hold it)", "var(--stranded)", "+"),
    "down": ("down (could not be used)", "var(--down)", "x"),
    "unknown": ("unknown (no evidence of use)", "var(--unknown)", "|"),
}
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "pentagon", "cross")
MODELS_SHOWN = 15
LEAST_DRAWN = Decimal("0.01")
_LONG, _SHORT = 34, 12
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Chart:
    """``says`` tells in words what the picture shows; ``notes`` what it cannot show; ``empty`` stands in for none."""

    name: str
    title: str
    says: str
    figure: go.Figure | None = None
    notes: tuple[str, ...] = ()
    empty: str = ""


def flow(db: duckdb.DuckDBPyConnection, of: Money) -> Chart:
    """From each bill over the component to the team, or to the bucket of what no team pays."""
    rows = figures.rows(db, "flows", periods=[period for period in of.shown if period])
    drawn = [row for row in rows if row["cost"] is not None and row["cost"] >= LEAST_DRAWN]
    title = f"From bills to teams{in_currency(of.currency)}"
    if not drawn:
        return Chart("flow", title, "", empty="There is no cost to follow from a bill to a team yet.")

    places: dict[tuple[str, str], int] = {}
    labels, colours, links = [], [], {}

    def place(kind: str, name: str, colour: str) -> int:
        if (kind, name) not in places:
            places[kind, name] = len(places)
            labels.append(name)
            colours.append(f"var(--{colour})")
        return places[kind, name]

    for row in drawn:
        is_bucket = row["bucket"] != "allocated"
        bill = place("bill", row["bill"], "bill")
        component = place("component", row["component"].replace("_", " "), "component")
        payer = place(
            row["bucket"],
            BUCKETS.get(row["team"], row["team"]).split(" (")[0] if is_bucket else row["team"],
            _bucket_colour(row["bucket"]),
        )
        for link, colour in (
            ((bill, component), "flow"),
            ((component, payer), f"{_bucket_colour(row['bucket'])}-flow"),
        ):
            links.setdefault(link, (colour, []))[1].append(row["cost"])

    sums = {link: total(costs) for link, (_, costs) in links.items()}
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            valueformat=",.2f",
            node={
                "label": [_label(name, _LONG) for name in labels],
                "color": colours,
                "pad": 18,
                "thickness": 14,
                "line": {"width": 0},
                "customdata": [_label(name) for name in labels],
                "hovertemplate": f"%{{customdata}}<br>%{{value:,.2f}} {of.currency}<extra></extra>",
            },
            link={
                "source": [source for source, _ in links],
                "target": [target for _, target in links],
                "value": [float(cost) for cost in sums.values()],
                "color": [f"var(--{colour})" for colour, _ in links.values()],
                "customdata": [
                    f"{_label(labels[a])} → {_label(labels[b])}<br>{amount(cost)} {of.currency}" for (a, b), cost in sums.items()
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
            },
            # narrow screens get the short names
            meta={
                "wide": [_label(name, _LONG) for name in labels],
                "narrow": [_label(name, _SHORT) for name in labels],
            },
        )
    )
    tallest = max(
        sum(kind == "bill" for kind, _ in places),
        sum(kind == "component" for kind, _ in places),
        sum(kind not in ("bill", "component") for kind, _ in places),
    )
    _dress(figure, height=max(360, 60 + 38 * tallest), margin={"l": 4, "r": 4, "t": 8, "b": 8})
    negative = [row["cost"] for row in rows if row["cost"] is not None and row["cost"] < 0]
    notes = []
    if negative:
        notes.append(
            "Not drawn, because a flow cannot be below zero: credits and corrections of together "
            f"{amount(total(negative))} {of.currency}. The tables have them."
        )
    if any(row["cost"] is not None and 0 < row["cost"] < LEAST_DRAWN for row in rows):
        notes.append("Flows of less than a cent are not drawn.")
    largest = sorted(drawn, key=lambda row: -row["cost"])[:3]
    said = "; ".join(
        f"{amount(row['cost'])} from {row['bill']} for {row['component'].replace('_', ' ')} to {row['team']}" for row in largest
    )
    return Chart(
        "flow",
        title,
        f"Flow of {amount(total(row['cost'] for row in drawn))} {of.currency} from {_count(places, 'bill')} "
        f"over {_count(places, 'component')} to who pays. The largest: {said}.",
        figure,
        tuple(notes),
    )


def gpu_hours(db: duckdb.DuckDBPyConnection) -> Chart:
    """GPU hours of each day, by what became of them."""
    rows = figures.rows(db, "gpu_hours_by_day")
    if not rows:
        return Chart("gpu-hours", "GPU hours by day", "", empty="No GPU hours are published: no capacity or holdings are loaded.")
    figure, said = go.Figure(), []
    for layer in [*LAYERS, *sorted({row["layer"] for row in rows} - LAYERS.keys())]:
        days = [row for row in rows if row["layer"] == layer]
        if not days:
            continue
        called, colour, pattern = LAYERS.get(layer, (layer, "var(--muted)", "-"))
        said.append(f"{hours(sum(row['gpu_hours'] for row in days))} {called}")
        figure.add_bar(
            name=_label(called),
            x=[str(row["usage_date"]) for row in days],
            y=[row["gpu_hours"] for row in days],
            width=0.8 * 86_400_000,
            marker={
                "color": colour,
                "line": {"width": 0},
                "pattern": {
                    "shape": pattern,
                    "fgcolor": "var(--paper)",
                    "bgcolor": colour,
                    "size": 6,
                    "solidity": 0.25,
                },
            },
            hovertemplate="%{x|%Y-%m-%d}: %{y:,.2f} h %{fullData.name}<extra></extra>",
        )
    figure.update_layout(barmode="stack", yaxis_title="GPU hours")
    dates = _dress_days(figure, rows, 340)
    return Chart("gpu-hours", "GPU hours by day", f"Stacked bars for {dates}, GPU hours: {', '.join(said)}.", figure)


def gpu_rates(db: duckdb.DuckDBPyConnection, currency: str | None) -> Chart:
    """What a held GPU hour cost each day, by GPU model; a day without a known cost is a gap."""
    rows = figures.rows(db, "gpu_costs_by_day")
    title = f"Cost per held GPU-hour by day{in_currency(currency)}"
    known = [row for row in rows if row["cost_per_gpu_hour"] is not None]
    if not known:
        return Chart("gpu-rates", title, "", empty="No GPU hour has a cost yet.")
    figure, said = go.Figure(), []
    models = list(dict.fromkeys(row["gpu_model"] for row in rows))
    for place, model in enumerate(models):
        days = [row for row in rows if row["gpu_model"] == model]
        costs = [row["cost_per_gpu_hour"] for row in days if row["cost_per_gpu_hour"] is not None]
        if not costs:
            continue
        said.append(f"{model} {rate(min(costs))} to {rate(max(costs))}")
        figure.add_scatter(
            name=_label(model, 24),
            x=[str(row["usage_date"]) for row in days],
            y=[row["cost_per_gpu_hour"] for row in days],
            mode="lines+markers",
            connectgaps=False,
            line={"color": f"var(--series-{place})", "width": 2, "dash": DASHES[place % len(DASHES)]},
            marker={"symbol": SYMBOLS[place], "size": 7 if len(days) < 40 else 4, "color": f"var(--series-{place})"},
            hovertemplate=f"%{{x|%Y-%m-%d}}: %{{y:,.4f}} {currency} %{{fullData.name}}<extra></extra>",
        )
    figure.update_layout(yaxis_title=f"{currency} per GPU-hour", yaxis_rangemode="tozero")
    dates = _dress_days(figure, rows, 320)
    unknown = [model for model in models if not any(row["gpu_model"] == model for row in known)]
    return Chart("gpu-rates", title, f"Lines for {dates}: {'; '.join(said)} {currency}.", figure, _not_drawn(unknown))


def token_rates(db: duckdb.DuckDBPyConnection, currency: str | None) -> Chart:
    """What a million tokens cost, by model; models without a known cost are named, not drawn."""
    rows = figures.rows(db, "token_costs")
    title = f"Cost per million tokens by model{in_currency(currency)}"
    known = [row for row in rows if row["cost_per_million_tokens"] is not None][:MODELS_SHOWN]
    if not known:
        return Chart(
            "token-rates",
            title,
            "",
            empty="No tokens have a cost yet." if rows else "No tokens are published: no model requests are loaded.",
        )
    known.sort(key=lambda row: row["cost_per_million_tokens"])
    # the name alone may not be unique: another provider can serve the same model
    names = [_label(f"{row['model']} · {row['provider']}", 30) for row in known]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=list(range(len(known))),
            x=[row["cost_per_million_tokens"] for row in known],
            text=[rate(row["cost_per_million_tokens"]) for row in known],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": "var(--held)",
                "line": {"width": 0},
                "pattern": {
                    "shape": ["/" if row["estimated_tokens"] else "" for row in known],
                    "fgcolor": "var(--paper)",
                    "bgcolor": "var(--held)",
                    "size": 6,
                    "solidity": 0.2,
                },
            },
            customdata=[f"{_label(row['model'])} · {_label(row['provider'])}" for row in known],
            hovertemplate=f"%{{customdata}}: %{{x:,.4f}} {currency} per million<extra></extra>",
            showlegend=False,
        )
    )
    _dress(figure, height=90 + 34 * len(known), margin={"l": 8, "r": 60, "t": 8, "b": 48})
    figure.update_layout(
        xaxis={"title": f"{currency} per million tokens", "rangemode": "tozero", "fixedrange": True},
        yaxis={
            "tickvals": list(range(len(known))),
            "ticktext": names,
            "automargin": True,
            "fixedrange": True,
            "showgrid": False,
        },
    )
    said = "; ".join(f"{row['model']} {rate(row['cost_per_million_tokens'])}" for row in reversed(known))
    hatched = ("Hatched: partly or wholly estimated from the price book.",) if any(row["estimated_tokens"] for row in known) else ()
    unknown = [row["model"] for row in rows if row["cost_per_million_tokens"] is None]
    return Chart("token-rates", title, f"Bars: {said} {currency} per million tokens.", figure, (*hatched, *_not_drawn(unknown)))


def _bucket_colour(bucket: str) -> str:
    return {"allocated": "team", "idle": "idle", "down": "down", "stranded": "stranded"}.get(bucket, "unknown")


def _not_drawn(names: list[str]) -> tuple[str, ...]:
    return (f"Not drawn, because no cost is known: {', '.join(names)}.",) if names else ()


def _dress_days(figure: go.Figure, rows: figures.Rows, height: int) -> str:
    """Axes for days, half a day of room at both ends; returns the span in words."""
    first, last = min(row["usage_date"] for row in rows), max(row["usage_date"] for row in rows)
    _dress(figure, height=height, margin={"l": 8, "r": 8, "t": 8, "b": 28})
    few = {"dtick": 86_400_000} if (last - first).days < 8 else {}
    figure.update_xaxes(
        type="date",
        tickformat="%d %b",
        range=[f"{first - timedelta(days=1)} 12:00", f"{last} 12:00"],
        fixedrange=True,
        showgrid=False,
        **few,
    )
    figure.update_yaxes(fixedrange=True, automargin=True)
    return f"{first} to {last}"


def _dress(figure: go.Figure, height: int, margin: dict) -> None:
    figure.update_layout(
        template=None,
        height=height,
        margin=margin,
        font={"family": _FONT, "size": 13, "color": "var(--ink)"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={
            "bgcolor": "var(--paper)",
            "font": {"color": "var(--ink)"},
            "bordercolor": "var(--line)",
            "align": "left",
        },
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "normal",
            "font": {"color": "var(--ink)"},
        },
        dragmode=False,
    )
    figure.update_xaxes(
        gridcolor="var(--line)",
        linecolor="var(--line)",
        zerolinecolor="var(--line)",
        tickfont_color="var(--muted)",
        title_font={"size": 12, "color": "var(--muted)"},
    )
    figure.update_yaxes(
        gridcolor="var(--line)",
        linecolor="var(--line)",
        zerolinecolor="var(--line)",
        tickfont_color="var(--muted)",
        title_font={"size": 12, "color": "var(--muted)"},
    )


def _label(name: str, longest: int | None = None) -> str:
    """A name as plotly shall draw it: shortened, and with nothing in it that plotly takes for a tag."""
    if longest and len(name) > longest:
        name = name[: longest - 1] + "…"
    return escape(name)


def _count(places: dict, kind: str) -> str:
    number = sum(place[0] == kind for place in places)
    return f"{number} {kind}{'' if number == 1 else 's'}"

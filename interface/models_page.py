"""The page beside the editor that lists models (task, size, licence, measured quality, place) and plugins."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from interface.service import Service

STATE_CLASSES = {
    "embedded": "good",
    "local": "good",
    "cached": "good",
    "not downloaded": "idle",
    "altered": "bad",
    "missing": "bad",
}


def models_place(service: Service, shown: gr.HTML) -> None:
    """Make the listing; it is updated whenever it is opened, which the editor ``shown`` tells."""
    listing = gr.HTML("", elem_classes="listing", padding=False)
    shown.models(lambda: listing_html(service), None, listing, api_visibility="private", show_progress="minimal")


def listing_html(service: Service) -> str:
    """Return the cards of all models and plugins."""
    models = "".join(model_html(model) for model in service.models())
    plugins = "".join(plugin_html(plugin) for plugin in service.plugins())
    return f"<h2>Models</h2><div class='cards'>{models}</div><h2>Plugins</h2><div class='cards'>{plugins}</div>"


def model_html(model: dict[str, Any]) -> str:
    """Return the card of a model: name, place, summary, facts."""
    where = str(model.get("where", ""))
    size = model.get("size_mb")
    rows = [
        ("Task", model.get("task")),
        ("Tier", model.get("tier")),
        ("Size", f"{float(size):.1f} MB" if size is not None else None),
        ("Licence", model.get("licence")),
        ("Id", model.get("id")),
    ]
    rows += [(name, value) for name, value in quality_rows(model.get("quality") or {})]
    return card(
        str(model.get("name", model.get("id"))),
        where,
        STATE_CLASSES.get(where, "idle"),
        str(model.get("summary") or ""),
        rows,
    )


def quality_rows(quality: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return measured figures as (name, value) rows; nested ones ("sir2_objects": {"psnr": …}) share a row."""
    rows = []
    for name, value in quality.items():
        title = str(name).replace("_", " ")
        if isinstance(value, dict):
            inner = ", ".join(f"{str(key).replace('_', ' ')} {figure(item)}" for key, item in value.items())
            rows.append((prefix + title, inner))
        else:
            rows.append((prefix + title, figure(value)))
    return rows


def figure(value: Any) -> str:
    """Format a figure: floats below 10 to three digits, others to two decimals."""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 10
        else (f"{value:.2f}" if isinstance(value, float) else str(value))
    )


def plugin_html(plugin: dict[str, Any]) -> str:
    """Return the card of a plugin, with the reason if it is disabled."""
    reason = plugin.get("reason")
    rows = [("Id", plugin.get("id")), ("Kind", plugin.get("kind")), ("From", plugin.get("source"))]
    if reason:
        return card(str(plugin.get("name") or plugin.get("id")), "disabled", "bad", str(reason), rows)
    return card(str(plugin.get("name") or plugin.get("id")), "enabled", "good", str(plugin.get("summary") or ""), rows)


def card(title: str, state: str, state_class: str, text: str, rows: list[tuple[str, Any]]) -> str:
    """Return the HTML of a card; rows without a value are left out."""
    facts = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in rows if value not in (None, "")
    )
    return (
        f"<article class='card'><header><h3>{escape(title)}</h3><span class='state {state_class}'>{escape(state)}"
        f"</span></header><p>{escape(text)}</p><dl>{facts}</dl></article>"
    )

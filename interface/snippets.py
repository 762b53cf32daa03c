"""HTML of the footer and of messages. All values are escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from interface.cache import LIFETIME_HOURS


def footer_html(health: dict[str, Any] | None) -> str:
    """Return what the app runs on and how programs can call it."""
    if health is None:
        live = "<span>Getting ready …</span>"
    else:
        backends = {"xformers": "xformers attention", "sdpa": "PyTorch attention"}
        facts = [
            f"Limpid {health['version']}",
            str(health.get("device_name", health["device"])),
            str(health["dtype"]),
            backends.get(str(health["attention"]), str(health["attention"])),
        ]
        live = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
        live = f'<span title="{escape(str(health.get("reason", "")))}" class="live">{live}</span>'
    names = (health or {}).get("plugins") or []
    listed = ", ".join(f"<code>/{escape(name)}</code>" for name in [*names[:3], "restore"])
    return (
        f'<div class="footline"><div class="what">{live}</div><div class="where">'
        f"<span>API: {listed}</span><span>MCP: <code>gradio_api/mcp</code></span>"
        f"<span>Photos stay on this server and are deleted after {LIFETIME_HOURS} hours, sooner where space is short."
        "</span></div></div>"
    )


def problem_html(sentence: str) -> str:
    """Return an error message."""
    return f'<div class="problem">{escape(sentence)}</div>'

"""HTML of facts about photos and results, and of the footer. All values are escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from interface.cache import LIFETIME_HOURS
from plugins.contract import Cost, Size

EMPTY_HTML = '<div class="hint">Add a photo, press the button, then pull the handle to compare.</div>'
MAX_NOTES = 6


def summary_html(record: dict[str, Any] | None) -> str:
    """Return a line of facts from a run record, and its notes."""
    if not record:
        return EMPTY_HTML
    facts = []
    if size := record.get("size"):
        facts.append(f"{size[0]} × {size[1]} px")
    if record.get("seconds") is not None:
        facts.append(f"{record['seconds']:.1f} s")
    for key in ("model", "device", "dtype"):
        value = record.get(key)
        several = value.values() if isinstance(value, dict) else [value]  # by step, where there were several
        facts += [str(one) for one in dict.fromkeys(several) if one]
    if tags := (record.get("guidance") or {}).get("tags"):
        facts.append("guided by " + ", ".join(tag["name"] for tag in tags[:3]) + (" …" if len(tags) > 3 else ""))
    chips = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in (record.get("notes") or [])[:MAX_NOTES])
    return f'<div class="facts">{chips}</div>' + (f'<ul class="notes">{notes}</ul>' if notes else "")


def guidance_html(guidance: dict[str, Any] | None) -> str:
    """Return tags with their scores, the model that found them, and notes."""
    if not guidance:
        return ""
    tags = guidance.get("tags") or []
    chips = "".join(
        f'<span style="--score: {round(100 * tag["score"])}%">{escape(tag["name"])} <b>{tag["score"]:.0%}</b></span>'
        for tag in tags
    )
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in (guidance.get("notes") or [])[:MAX_NOTES])
    by = f'<p class="by">Source: {escape(guidance["model"])}</p>' if guidance.get("model") else ""
    return f'<div class="facts scores">{chips}</div>{by}' + (f'<ul class="notes">{notes}</ul>' if notes else "")


def photo_html(size: Size, kind: str, cost: Cost | None) -> str:
    """Return the size of a photo and the expected cost of restoring it."""
    parts = [f"{size.width} × {size.height} px", kind]
    if cost is not None:
        parts.append(f"about {seconds_text(cost.seconds)}")
        parts.append(f"{memory_text(cost.memory_mb)} of memory")
    return '<div class="facts">' + "".join(f"<span>{escape(part)}</span>" for part in parts) + "</div>"


def problem_html(sentence: str) -> str:
    """Return an error message."""
    return f'<div class="problem">{escape(sentence)}</div>'


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


def seconds_text(seconds: float) -> str:
    """Format a duration."""
    if seconds < 1.5:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def memory_text(megabytes: float) -> str:
    """Format an amount of memory in MiB."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1024:.1f} GB"


def size_text(count: int) -> str:
    """Format the size of a file in bytes."""
    if count < 1_000_000:
        return f"{max(1, round(count / 1000))} kB"
    return f"{count / 1_000_000:.1f} MB"

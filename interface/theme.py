"""The theme: colours, fonts, and CSS for what gradio's theme variables do not cover.

Fonts are gradio's, served by the app, or the system's: none is fetched from other hosts.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils.colors import Color
from gradio.themes.utils.fonts import Font, LocalFont

from interface.static_files import STATIC, asset_path

# Teal, the accent. White text on step 600 has a contrast of 4.9:1; step 300 is for text on dark ground.
LAGOON = Color(
    "#eefbfb",
    "#d4f3f4",
    "#aee6e9",
    "#77d2d8",
    "#3cb6bf",
    "#1c98a3",
    "#0f7a86",
    "#10626d",
    "#135059",
    "#14434b",
    "#062b32",
    name="lagoon",
)
# Slate gray with some of the accent's blue-green.
MIST = Color(
    "#f7fafb",
    "#eef3f5",
    "#dfe7ea",
    "#c6d2d7",
    "#92a3ab",
    "#667983",
    "#4b5d66",
    "#3a4a52",
    "#22303a",
    "#152028",
    "#0c141a",
    name="mist",
)

CSS = "\n".join(
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("style.css", "static/editor.css")
)

# Browsers colour scroll bars by these; gradio adds the viewport.
HEAD = """<meta name="color-scheme" content="light dark">
<meta name="description" content="Take reflections and blur out of photos, on your own machine.">
"""
# The scripts are fetched while gradio starts.
HEAD += "".join(f'<link rel="modulepreload" href="{asset_path(path.name)}">\n' for path in sorted(STATIC.glob("*.js")))


def theme() -> gr.themes.Base:
    """Return the gradio theme, in light and dark."""
    sans = [LocalFont("IBM Plex Sans", weights=(400, 700)), Font("system-ui"), Font("sans-serif")]
    mono = [LocalFont("IBM Plex Mono", weights=(400, 500)), Font("ui-monospace"), Font("monospace")]
    look = gr.themes.Base(
        primary_hue=LAGOON,
        secondary_hue=LAGOON,
        neutral_hue=MIST,
        font=sans,
        font_mono=mono,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
    )
    return look.set(
        body_background_fill="#f3f7f8",
        body_background_fill_dark="#0b1318",
        body_text_color="*neutral_800",
        body_text_color_dark="#e6eef1",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="#8fa3ac",
        background_fill_primary="white",
        background_fill_primary_dark="#121d24",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="#0f191f",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#22323b",
        border_color_accent="*primary_300",
        border_color_accent_dark="*primary_700",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="#12303a",
        block_background_fill="white",
        block_background_fill_dark="#121d24",
        block_border_width="1px",
        block_border_color="*border_color_primary",
        block_label_background_fill="white",
        block_label_background_fill_dark="#121d24",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="#a9bac2",
        block_label_text_weight="600",
        block_label_border_width="0px",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="#cfdbe0",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="#8fa3ac",
        block_shadow="0 1px 2px rgb(12 40 48 / .05)",
        block_shadow_dark="none",
        block_radius="14px",
        container_radius="14px",
        panel_background_fill="transparent",
        panel_background_fill_dark="transparent",
        panel_border_width="0px",
        input_background_fill="*neutral_50",
        input_background_fill_dark="#0d171c",
        input_border_color="*neutral_200",
        input_border_color_dark="#2a3b45",
        input_border_color_focus="*primary_400",
        input_border_color_focus_dark="*primary_500",
        input_radius="10px",
        button_large_radius="12px",
        button_medium_radius="10px",
        button_small_radius="9px",
        button_large_text_weight="600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
        button_primary_text_color_dark="#04191d",
        button_primary_text_color_hover_dark="#04191d",
        button_primary_shadow="0 1px 2px rgb(12 60 68 / .25)",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="#17242c",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="#1d2d36",
        button_secondary_border_color="*neutral_200",
        button_secondary_border_color_dark="#2a3b45",
        button_border_width="1px",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_label_background_fill="*neutral_50",
        checkbox_label_background_fill_dark="#0f191f",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="#12303a",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        link_text_color_hover="*primary_800",
        link_text_color_hover_dark="*primary_200",
        loader_color="*primary_500",
        stat_background_fill="*primary_200",
        stat_background_fill_dark="*primary_800",
    )

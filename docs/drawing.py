"""The common parts of the pages' drawings: their colours in light and dark mode."""

from __future__ import annotations

from singa.report.svg import Canvas

INK, FAINT, LINE, THIN = "#222222", "#6b6b6b", "#555555", "#b9b9b9"
PAPER, PANEL = "#ffffff", "#f4f5f7"
TENSOR = "#fdf5bf", "#b39200"  # fill and edge
FOLLOWED = "#efe4fa", "#8557b5"
OPERATION = "#dce9fb", "#3b78c4"
GRADIENT = "#fde6d3", "#c4610f"
UPDATE = "#dcf3e2", "#2f9150"
STRENGTHS = (
    ("#ffffff", "#9fb4d0"), ("#eaf1fb", "#7ea3d3"), ("#cfe0f7", "#5489cb"), ("#a9c8f0", "#2f6db8"),
)  # fmt: skip

_DARK = {
    INK: "#e6e6e6", FAINT: "#a2a2a2", LINE: "#b5b5b5", THIN: "#555a63", PAPER: "#16181b",
    PANEL: "#212429", "#fdf5bf": "#4a4210", "#efe4fa": "#402a57", "#8557b5": "#b48be2",
    "#dce9fb": "#1d3554", "#fde6d3": "#56300f", "#dcf3e2": "#17412a", "#eaf1fb": "#1f2c3d",
    "#cfe0f7": "#22406a", "#a9c8f0": "#2a5590",
}  # fmt: skip
"""The colours of dark mode, by those of light mode; most edges are visible in both."""


class Drawing(Canvas):
    """A canvas whose document has the reader's mode, light or dark."""

    def document(self, width: float, height: float, title: str) -> str:
        rules = "".join(
            f'[{place}="{day}"]{{{place}:{night}}}'
            for day, night in _DARK.items()
            for place in ("fill", "stroke")
        )
        style = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
        text = super().document(width, height, title)
        head, found, rest = text.partition("</defs>")
        return f"{head}{found}\n{style}{rest}"

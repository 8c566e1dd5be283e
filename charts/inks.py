"""The inks of dark mode. Apart from the palette in style.py, because pages need them without loading Altair."""

# What a reader in dark mode sees instead of each ink. There, too, text has a contrast of 4.5:1 and marks have 3:1.
DARK_INKS = {
    # ground, ink, greys
    "white": "#14181d", "black": "#e6eaee", "#000": "#e6eaee", "#222222": "#e6eaee", "#6b6b6b": "#a3adb8",
    "#888": "#7d8791", "#e4e7ea": "#2b323a", "#ddd": "#363d45",
    # the palette: blue, orange, green, vermilion, sky, purple, yellow
    "#0072b2": "#5aaef0", "#c48600": "#f0ac1e", "#009e73": "#2fc79a", "#d55e00": "#ff8a4c", "#2f95d0": "#9adcff",
    "#c76fa1": "#e59cc5", "#9f9200": "#f0e442",
    # the paper's style: series, ceilings, ridge, grid, and the frame of its legend
    "#1f77b4": "#6db3ea", "#e67300": "#ff9a4a", "#2ca02c": "#4ccf5b", "#d62728": "#ff6b6b", "#9467bd": "#bd95e0",
    "#8c564b": "#c99386", "#0000ff": "#8f9bff", "#000080": "#7b86d8", "#ff0000": "#ff7070", "#a00000": "#e07a7a",
    "#008000": "#52c452", "#dcdcdc": "#2f363e", "#cccccc": "#4a525b",
}  # fmt: skip


def write_dark_inks() -> str:
    """Return the CSS rules that give an SVG its dark inks where the reader prefers these."""
    rules = (
        f'[{paint}="{light}"]{{{paint}:{dark}}}' for light, dark in DARK_INKS.items() for paint in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme:dark){{{''.join(rules)}}}"

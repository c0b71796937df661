"""How the gallery looks: its figures, on a light and on a dark page alike, and what is printed."""

__all__ = ["apply", "setup"]

from typing import Any

from cycler import cycler

GREY = "#787878"  # 4.4 to 1 against white, 4.2 to 1 against the theme's dark background
COLOURS = ("#3a87d4", "#d9720f", "#2a9d6f", "#a06bd6", "#d9506a")  # each at least 3.3 to 1
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": GREY,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "figure.figsize": (7.0, 3.8),
    "font.size": 10.5,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "savefig.facecolor": "none",
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def apply(gallery_conf: object, name: object) -> None:
    """Set the style before each example: sphinx-gallery calls this."""

    from matplotlib import pyplot

    pyplot.rcParams.update(STYLE)


def setup(app: Any) -> dict[str, bool]:
    """Add the style sheet: Sphinx calls this, since the module is also one of its extensions."""

    if "_static" not in app.config.html_static_path:
        app.config.html_static_path.append("_static")
    app.add_css_file("gallery.css")

    return {"parallel_read_safe": True}

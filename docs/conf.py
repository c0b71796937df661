project = "bitveil"
author = "The bitveil developers"
copyright = "2026, the bitveil developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_theme = "furo"
html_title = "bitveil"
exclude_patterns = ["_build"]

# Docstrings quote code in single backticks, as Markdown does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_custom_sections = ["Source"]
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

# scikit-learn's own methods for metadata routing, whose docstrings refer to its documentation.
METHODS = ("fit", "transform", "predict", "predict_proba", "score")
autodoc_default_options = {
    "exclude-members": ", ".join(f"set_{method}_request" for method in METHODS)
}

import sys
from pathlib import Path

project = "bitveil"
author = "The bitveil developers"
copyright = "2026, the bitveil developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
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

# The gallery: a build runs the examples and keeps their figures. Functions are named by text, so
# that Sphinx can compare these settings with those of the last build.
sys.path.insert(0, str(Path(__file__).parent))
extensions.append("gallery_style")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": ("matplotlib", "gallery_style.apply"),
    "image_srcset": ["2x"],
    "capture_repr": (),
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1000,  # seconds: a page does not change with the machine
}

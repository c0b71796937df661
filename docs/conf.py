import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE / "_extensions")]

project = "bitveil"
author = "The bitveil developers"
copyright = "2026, the bitveil developers"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "api_contents",
    "commands",
    "formulas",
    "gallery_style",
    "summaries",
    "sphinx_gallery.gen_gallery",
]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_theme = "furo"
html_title = "bitveil"
# A summary would be a request, which pages on a disk may not make.
html_show_search_summary = False
html_show_sourcelink = False
html_copy_source = False
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_math_renderer = "mathml"

# Docstrings quote code in single backticks, as Markdown does. Names of objects become links.
default_role = "py:obj"
# A page for each module and each object, made at every build from `__all__`.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
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

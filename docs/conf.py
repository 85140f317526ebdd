"""Sphinx's configuration of the site; ``make docs`` builds it into build/docs."""

import sys
from pathlib import Path

import singa

sys.path.insert(0, str(Path(__file__).parent.parent))  # for docs.extension, where the rest is

project = "singa-xla"
author = "the singa-xla authors"
copyright = f"2025, {author}"
version = release = singa.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs.extension",
]
exclude_patterns = ["compatibility.toml"]

html_theme = "furo"
html_title = f"singa-xla {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style, pygments_dark_style = "default", "monokai"

myst_heading_anchors = 3  # the pages' links name headings as code hosts do
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_class_signature = "mixed"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
# Titles that our docstrings have and Google's do not; Args stands apart from a layer's Parameters.
napoleon_custom_sections = [
    (title, "params_style")
    for title in ("Args", "Attributes", "Parameters", "States", "Layers", "Shapes")
]

nitpicky = True
nitpick_ignore_regex = [
    # Types in signatures: of Python, NumPy, jax and Pillow, as the site links to nothing elsewhere;
    (
        "py:.*",
        r"(np|numpy|npt|jax|jaxlib|os|collections|typing|contextlib|pathlib|types|builtins)\..*",
    ),
    ("py:.*", r"(Any|Callable|Iterable|Iterator|Mapping|Sequence|Collection|Path|Literal|Self)"),
    ("py:.*", r"(bool|int|float|str|object|dict|list|tuple|set|type|None|NoneType|Exception)"),
    ("py:.*", r"_GeneratorContextManager|AbstractContextManager"),
    ("py:.*", r"Image|P|P\.args|P\.kwargs|R|M|T|list\[.*"),
    # aliases of ours, whose names say what is meant; and what is none of the user's business.
    (
        "py:.*",
        r"Sizes|Axes|Axis|Padding|Initializer|Number|_Numbers|State|Values|Average|Batch|Wanted",
    ),
    ("py:.*", r"PathLike|Source|Metrics|Meters|Evaluator|Console|Run|Monitored|Key"),
    ("py:.*", r"Rows|Branch|Declared|Edge|Record|Handle|GradientHook|hooks\..*"),
    ("py:.*", r"singa\.report\.profiler|singa\.core\.values\.Count|Place|Mesh|Rule"),
    ("py:.*", r"ModelProto|NodeProto|onnx\..*|singa\.sonnx\.graph\..*"),
]

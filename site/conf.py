"""How Sphinx makes web pages of the course; `make site` runs it from the repository's root.

The pages are README.md, docs/ and the lessons as they are committed. Only what GitHub and Colab
need otherwise is changed on the way: addresses within the repository become links within the site,
the badge comes from the site itself, and README gets the menu.
"""

import re
import shutil
import tomllib
from pathlib import Path

from docutils import nodes
from PIL import Image

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
SLUG = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["course"]["repository"]
README = (ROOT / "README.md").read_text(encoding="utf-8")

project = "Deep convolutional GANs"
author = "the authors of the course"
root_doc = "README"
include_patterns = [
    "README.md",
    "README.id.md",
    "CONTRIBUTING.md",
    "LICENSE-CONTENT.md",
    "assets/README.md",
    "docs/*.md",
    "notebooks/*.ipynb",
    "notebooks/further/*.ipynb",
    "site/explorer.md",
    "site/explorer/README.md",
]
extensions = ["myst_nb", "sphinx.ext.githubpages"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the glossary's terms stand at level 3

html_theme = "sphinx_book_theme"
html_title = project
html_baseurl = f"https://{SLUG.split('/')[0]}.github.io/{SLUG.split('/')[1]}/"
html_context = {"default_mode": "auto"}  # light or dark, as the reader has it
html_static_path = ["vendor", "pictures.css"]
html_css_files = ["pictures.css"]
html_scaled_image_link = False
html_copy_source = False
html_theme_options = {
    "repository_url": f"https://github.com/{SLUG}",
    "repository_branch": "main",
    "use_repository_button": True,
    "use_download_button": False,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the menu has a search field
}
mathjax_path = "tex-chtml.js"

MENU = """
```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""


def menu():
    """The pages, in the order of README."""
    lessons = dict.fromkeys(re.findall(r"\]\((notebooks/[\w/]+)\.ipynb\)", README))
    further = [lesson for lesson in lessons if "/further/" in lesson]
    first = [lesson for lesson in lessons if lesson not in further]
    docs = dict.fromkeys(re.findall(r"\]\((docs/[\w-]+)\.md", README))
    rest = ["site/explorer/README", "assets/README", "CONTRIBUTING", "LICENSE-CONTENT"]
    rest += ["README.id"] if (ROOT / "README.id.md").is_file() else []
    parts = {"Play": ["site/explorer"], "Lessons": first, "Further lessons": further}
    for caption, pages in (parts | {"Beside the lessons": [*docs, *rest]}).items():
        yield MENU.format(caption=caption, pages="\n".join(f"/{page}" for page in pages))


def change(app, docname, source):
    text = source[0]
    text = re.sub(rf"https://github\.com/{SLUG}/blob/main/([\w/.-]+\.(?:md|ipynb))", r"/\1", text)
    text = text.replace(
        "https://colab.research.google.com/assets/colab-badge.svg", "/site/colab-badge.svg"
    )
    # The library of the figures that move comes from the site, too.
    text = re.sub(r"https://cdn\.plot\.ly/[\w.-]+\.js", "../../_static/plotly.js", text)
    if docname.startswith("README"):
        text = re.sub(r"(?m)^</?p>\n", "", text)  # Sphinx takes pictures that stand alone
    if docname == "README":
        text += "".join(menu())
    source[0] = text


def spare(app, doctree, docname):
    """Pictures are fetched when they come into sight; their size is known before."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        image["loading"] = "lazy"
        if path.is_file() and path.suffix != ".svg" and "width" not in image:
            with Image.open(path) as picture:
                image["width"], image["height"] = map(str, picture.size)


def complete(app, error):
    """Copy the explorer beside the pages; its links lead to them. The front page opens by itself.

    The theme brings its symbols twice, as fonts and as a script of 1.6 MB. The fonts do.
    """
    if error:
        return
    Path(app.outdir, "_static", "scripts", "fontawesome.js").write_text("")
    shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))
    target = Path(app.outdir, "explorer")
    shutil.copytree(SITE / "build" / "explorer", target, dirs_exist_ok=True)
    page = target / "index.html"
    text = page.read_text(encoding="utf-8")
    text = re.sub(
        rf"https://github\.com/{SLUG}(?:/blob/main/([\w/]+)\.ipynb)?",
        lambda found: f"../{found[1] or root_doc}.html",
        text,
    )
    page.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("source-read", change)
    app.connect("doctree-resolved", spare)
    app.connect("build-finished", complete)

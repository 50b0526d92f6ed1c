"""What a lesson gives to the learner's browser."""

import os
from pathlib import Path
from urllib.parse import quote

from IPython.display import HTML, display

from helpers.environment import ROOT, hosting, short
from helpers.files import require_file


def download(path) -> None:
    """Send a file to the browser in Colab; elsewhere show a link, or say where the file is.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    require_file(path)
    if hosting() == "Colab":
        from google.colab import files

        files.download(str(path))
    elif path.is_relative_to(ROOT):  # what Jupyter can serve
        link = Path(os.path.relpath(path)).as_posix()
        display(HTML(f'<a href="{quote(link)}" download>{short(path)}</a>'))
    else:
        print(f"The file is {short(path)}.")

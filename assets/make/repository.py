"""Write the repository's address into every file that names it; needs no package.

python assets/make/repository.py OWNER/NAME

The address stands in pyproject.toml, as `repository` of [tool.course]; every other place is a copy.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "*.md",
    "*.cff",
    "docs/*.md",
    "notebooks/**/*.ipynb",
    "site/explorer/*.html",
    ".github/**/*.yml",
    ".github/**/*.md",
)
SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?/[A-Za-z0-9._-]+")


def current_slug(root=ROOT) -> str:
    """The owner and name, such as "owner/name", that pyproject.toml holds."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["course"]["repository"]


def files_with_address(root=ROOT) -> list[Path]:
    """Every file that may name the address, but pyproject.toml."""
    return sorted({path for pattern in FILES for path in root.glob(pattern)})


def write_slug(new: str, root=ROOT) -> None:
    """Replace the address everywhere, in pyproject.toml last.

    Raises:
        ValueError: `new` is no owner/name of GitHub.
    """
    if not SLUG.fullmatch(new) or new.endswith(".git"):
        raise ValueError(
            f"SLUG is {new!r}; it is the end of your repository's address on GitHub, owner/name, "
            "for instance: make repository SLUG=ada/dcgan-course"
        )
    old = current_slug(root)
    address = re.compile(rf"(github\.com/|/github/){re.escape(old)}(?![\w-])")
    for path in files_with_address(root):
        text = path.read_bytes().decode("utf-8")
        changed = address.sub(rf"\g<1>{new}", text)
        if changed != text:
            path.write_bytes(changed.encode("utf-8"))
            print(f"{path.relative_to(root).as_posix()}: {len(address.findall(text))} places")
    settings = root / "pyproject.toml"
    text = settings.read_bytes().decode("utf-8")
    settings.write_bytes(text.replace(f'"{old}"', f'"{new}"').encode("utf-8"))


if __name__ == "__main__":
    try:
        write_slug("".join(sys.argv[1:]))
    except ValueError as error:
        sys.exit(str(error))

"""What the commands of this folder are told: which of the things they make."""

import argparse


def chosen(description, names) -> list[str]:
    """The names on the command line, each one of `names`; all of these where there are none."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}; default: all")
    given = parser.parse_args().names
    for name in given:
        if name not in names:
            parser.error(f"{name} is none of {', '.join(names)}.")
    return given or list(names)

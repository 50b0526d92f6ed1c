"""Refuse an unsupported Python in one sentence; also run alone, before anything is installed."""

import sys

OLDEST, NEWEST = (3, 11), (3, 13)


def require_supported_python(version=None):
    """Exit with one sentence where `version`, by default this Python's, is not supported."""
    version = tuple(version or sys.version_info)
    if not OLDEST <= version[:2] <= NEWEST:
        sys.exit(
            "This course runs on Python {}.{} to {}.{}, and this is Python {}.{}: TensorFlow has "
            "no release for it. Install one of those and name it, for instance: "
            "make run PYTHON=python3.12".format(*OLDEST, *NEWEST, *version[:2])
        )


if __name__ == "__main__":
    require_supported_python()

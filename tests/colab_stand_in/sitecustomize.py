"""Imported by Python at its start: Colab's kernels have `google.colab` imported, too."""

import google.colab  # noqa: F401

"""Errors that a notebook shows as one sentence, without a traceback."""


class _Sentence(Exception):
    def _render_traceback_(self):  # what IPython asks for
        return [str(self)]


class Stopped(_Sentence):
    """A training was ended early."""


class Refused(_Sentence, ValueError):
    """Something cannot go on with what it was given."""

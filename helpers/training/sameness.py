"""What a training that goes on must agree on with its checkpoint: settings, networks, code."""

import dis
import hashlib
import inspect
import json
import platform
import re
from itertools import zip_longest
from types import CodeType, FunctionType

import keras
import numpy as np

from helpers.networks import flat_layers
from helpers.training.model import AdversarialModel

NETWORKS = ("generator", "discriminator")
# Not compared: what differs from session to session, or is in the weights already.
SPARED = ("name", "seed", "dtype", "module", "registered_name", "build_config", "build_input_shape")
OUTSIDE = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")  # what names of a notebook are read by
TRIAL_LOGITS = np.linspace(-4, 2, 7, dtype=np.float32)[:, None]


def what_trains(model) -> dict:
    """Everything that decides what a training step does, as plain JSON, for `first_difference`.

    Args:
        model: a compiled `AdversarialModel`.
    """
    content = {
        f"{name} layer": [configuration(layer) for layer in flat_layers(getattr(model, name))]
        for name in NETWORKS
    }
    content |= {
        f"{name}'s optimizer": configuration(getattr(model, f"{name}_optimizer"))
        for name in NETWORKS
    }
    return json.loads(_text(content | code_of(type(model))))


def code_of(kind) -> dict:
    """What the methods of a model's class do, and all that they call in its notebook, by name.

    Functions are compared by their instructions, so that comments, docstrings and layout do not
    count, nor cell magics; instructions differ between versions of Python, so those of another are
    not compared. The losses are compared by what they give for some logits, too.
    """
    version, found = f"python {platform.python_version().rpartition('.')[0]}", {}
    own = kind.__mro__[: kind.__mro__.index(AdversarialModel)]
    members = {name: member for each in reversed(own) for name, member in vars(each).items()}
    todo = [(name, getattr(member, "__func__", member)) for name, member in members.items()]
    while todo:
        name, thing = todo.pop()
        thing = inspect.unwrap(thing) if callable(thing) else thing
        if name in found or name.startswith("__"):
            continue
        if isinstance(thing, FunctionType):
            does = [_instructions(thing.__code__), thing.__defaults__, thing.__kwdefaults__]
            found[name] = {version: hashlib.sha256(_text(does).encode()).hexdigest()[:16]}
            cells = [cell.cell_contents for cell in thing.__closure__ or ()]
            around = thing.__globals__ | dict(zip(thing.__code__.co_freevars, cells))
            todo += [(each, around[each]) for each in _names(thing.__code__) if each in around]
            if name in ("discriminator_loss", "generator_loss"):
                found[name]["value"] = _trial(thing)
        elif isinstance(thing, (bool, int, float, str, tuple, list, dict)):
            found[name] = _text(thing)
        elif hasattr(thing, "get_config") and not isinstance(thing, type):
            found[name] = configuration(thing)
    # What a function is made of tells more than that it changed, so constants come first; the
    # losses, whose values depend on all they call, come last.
    rank = {name: (version in value, name.endswith("_loss")) for name, value in found.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: (rank[name], name))}


def _instructions(code) -> list:
    """The operations of a function and their operands, without docstring and line numbers."""
    return [
        [
            each.opname,
            _instructions(each.argval) if isinstance(each.argval, CodeType) else each.argval,
        ]
        for each in dis.get_instructions(code)
    ]


def _text(value) -> str:
    """A value as text that is the same in every process: sets in order, objects by no address."""

    def other(each):
        if isinstance(each, (set, frozenset)):
            return sorted(map(str, each))
        return re.sub(" at 0x[0-9a-f]+", "", str(each))

    return json.dumps(value, default=other, skipkeys=True)


def _names(code) -> set:
    """Names from outside that a function refers to, those of functions inside it included."""
    inside = [each for each in code.co_consts if isinstance(each, CodeType)]
    loads = [each for each in dis.get_instructions(code) if each.opname in OUTSIDE]
    return {each.argval for each in loads}.union(*map(_names, inside))


def _trial(loss):
    """What a loss gives for logits from -4 to 2; None where it takes something else."""
    logits = keras.ops.convert_to_tensor(TRIAL_LOGITS)
    for arguments in ((logits,), (logits, -logits / 2)):
        try:
            return f"{float(loss(*arguments)):.5f}"
        except Exception:  # a learner's function may fail in any way
            continue
    return None


def configuration(thing) -> dict:
    """The kind of a layer, optimizer or loss and its configuration, but for what is spared."""

    def chosen(value):
        if isinstance(value, dict):
            return {key: chosen(each) for key, each in value.items() if key not in SPARED}
        return [chosen(each) for each in value] if isinstance(value, (list, tuple)) else value

    return {"kind": type(thing).__name__} | chosen(thing.get_config())


def first_difference(before: dict, now: dict) -> str:
    """What differs first, as "made with … 0.001, now it is 0.002"; "" where nothing does."""
    for what, value in now.items():
        if what not in before:
            return f"made without {what}"
        if difference := _difference(before[what], value, what):
            place, old, new = difference
            if "python" in place or " value" in place:
                return f"made with another {what}"
            return f"made with {place} {_shown(old)}, now it is {_shown(new)}"
    return next((f"made with {what}, which is gone" for what in before if what not in now), "")


def _difference(before, now, place):
    """The first difference of two configurations, as (place, before, now), or None.

    Dictionaries are compared in the keys that both have: versions of Keras differ in some.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [(f" {key}", before[key], now[key]) for key in now if key in before]
    elif isinstance(before, list) and isinstance(now, list):
        both = zip_longest(before, now, fillvalue="nothing")
        pairs = [(f" {number}", old, new) for number, (old, new) in enumerate(both)]
    else:
        return None if before == now else (place, before, now)
    found = (_difference(old, new, place + key) for key, old, new in pairs)
    return next(filter(None, found), None)


def _shown(value) -> str:
    if isinstance(value, dict):
        return value.get("kind") or value.get("class_name") or "another"
    return f"{value:g}" if isinstance(value, float) else str(value)

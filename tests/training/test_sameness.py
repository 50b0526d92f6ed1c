"""What trains is told from what only looks different: a loss, a constant, a default, a layer."""

import pytest

from helpers.training.sameness import code_of, first_difference

NOTEBOOK = """
import keras
import tensorflow as tf
from helpers import AdversarialModel

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
SHARE = 0.9
step = {step}


def discriminator_loss(real_logits, generated_logits):
    real = cross_entropy(tf.ones_like(real_logits), real_logits)
    return real + cross_entropy(tf.zeros_like(generated_logits), generated_logits)


def generator_loss(generated_logits):
    return cross_entropy(tf.ones_like(generated_logits), generated_logits)


def update(mean, weight, share=SHARE, rule=object()):
    return mean.assign(share * mean + (1 - share) * weight)


class GAN(AdversarialModel):
    generator_loss = staticmethod(generator_loss)

    def train_step(self, real_images):
        losses = [part for part in (discriminator_loss(1, 2), self.generator_loss(3))]
        if self.step not in {{0, 8}}:
            update(self.step, SHARE)
        return self.report(*losses)
"""


def made_with(*changes):
    """The notebook's cells run with something replaced."""
    source = NOTEBOOK.format(step=len(changes))
    for before, after in changes:
        assert before in source
        source = source.replace(before, after)
    names = {"__name__": "__main__"}
    exec(source, names)  # as a cell under %%time, whose source no one can get
    return code_of(names["GAN"])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (("ones_like(generated", "zeros_like(generated"), "made with another generator_loss"),
        (
            ("from_logits=True", "from_logits=True, label_smoothing=0.1"),
            "made with cross_entropy label_smoothing 0, now it is 0.1",
        ),
        (("return real +", "return 2 * real +"), "made with another discriminator_loss"),
        (("(1 - share)", "(2 - share)"), "made with another update"),
        (("share=SHARE", "share=0.5"), "made with another update"),
        (("SHARE = 0.9", "SHARE = 0.99"), "made with SHARE 0.9, now it is 0.99"),
        (("(1, 2)", "(2, 1)"), "made with another train_step"),
        (("self.step, SHARE", "self.seed, SHARE"), "made with another train_step"),
        (
            ("staticmethod(generator_loss)", "staticmethod(lambda x: -generator_loss(x))"),
            "made with another generator_loss",
        ),
    ],
)
def test_what_trains_differs(change, difference):
    found = first_difference(made_with(), made_with(change))
    assert found.startswith(difference), found


@pytest.mark.parametrize(
    "change",
    [
        ("    return real +", "    # the sum\n\n    return real +"),
        ("generated_logits):\n    return", 'generated_logits):\n    """A loss."""\n    return'),
        ("real_images):", "\n        real_images,\n    ):"),
        ("{0, 8}", "{8, 0}"),  # a set in another order, as in another process
        ("step = ", "other = "),  # a name that is only an attribute in the step
    ],
)
def test_what_only_looks_different_does_not(change):
    assert first_difference(made_with(), made_with(change)) == ""


def test_instructions_of_another_python_are_not_compared_but_the_losses_values_are():
    other = {
        name: {"python 3.99" if "python" in key else key: each for key, each in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in made_with(("(1, 2)", "(2, 1)")).items()
    }
    assert first_difference(other, made_with()) == ""
    changed = made_with(("ones_like(generated", "zeros_like(generated"))
    assert first_difference(other, changed) == "made with another generator_loss"

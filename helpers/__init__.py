"""Plumbing shared by the lessons; what a lesson teaches stands in its notebook.

These are the names that lessons use. Importing installs nothing and styles nothing; it imports
TensorFlow, with oneDNN and without its start-up lines.
"""

from helpers.machine import import_tensorflow

import_tensorflow()

from helpers.data.images import normalise, resize
from helpers.data.opening import open_run
from helpers.data.preparation import prepare
from helpers.data.sources import SOURCES, load_source
from helpers.drive import save_run
from helpers.evaluation.features import feature_space
from helpers.evaluation.metrics import (
    class_counts,
    class_divergence,
    classes_covered,
    density_coverage,
    extrapolated_distance,
    frechet_distance,
    gaussian_distance,
    kernel_distance,
    nearer_probability,
    nearest_distances,
    precision_recall,
    standard_error,
)
from helpers.evaluation.results import (
    distances_after,
    load_defects,
    load_trainings,
    plot_defects,
    plot_trainings,
)
from helpers.evaluation.scores import print_scores, score
from helpers.files import load_json, load_model, load_table, save_json, save_model, sha256
from helpers.machine import ASSETS, short
from helpers.networks import (
    default_feature_maps,
    load_networks,
    load_trained,
    require_pair,
    shipped_run,
    taught,
)
from helpers.notebook import check, download, set_up
from helpers.plots import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    caption,
    encode_gif,
    image_grid,
    png,
    save_gif,
    save_png,
    show_diagram,
    show_gif,
    show_images,
    to_uint8,
)
from helpers.training.batches import steps_per_epoch, training_batches
from helpers.training.callbacks import training_callbacks
from helpers.training.checkpoints import Checkpoint
from helpers.training.distributed import open_devices
from helpers.training.history import best_epoch, show_history
from helpers.training.model import AdversarialModel
from helpers.training.options import training_options
from helpers.training.previews import load_previews

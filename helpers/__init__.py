"""Plumbing shared by the five notebooks; what a lesson teaches stands in its notebook."""

from helpers.python_version import require_supported_python

require_supported_python()

from helpers.environment import import_tensorflow
from helpers.packages import require_packages

require_packages()
import_tensorflow()

from helpers.adversarial import AdversarialModel
from helpers.browser import download
from helpers.callbacks import load_previews, training_callbacks
from helpers.checkpoints import Checkpoint
from helpers.defects import load_defects, plot_defects, smallest_noticed, unnoticed
from helpers.drive import save_run
from helpers.environment import ASSETS, describe_machine, short
from helpers.exercises import check
from helpers.features import FeatureSpace, feature_space
from helpers.files import load_json, load_model, load_table, save_json, save_model, sha256
from helpers.hardware import training_options
from helpers.metrics import (
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
from helpers.networks import (
    default_feature_maps,
    load_networks,
    load_trained,
    shipped_run,
)
from helpers.pictures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    encode_gif,
    image_grid,
    plot_history,
    png,
    save_gif,
    save_png,
    show_gif,
    show_images,
    use_course_style,
)
from helpers.pipeline import normalise, steps_per_epoch, to_uint8, training_batches
from helpers.pixels import resize
from helpers.preparation import open_run, prepare
from helpers.scores import print_scores, score
from helpers.sources import SOURCES, load_source
from helpers.taught import taught, taught_model
from helpers.trainings import distances_after, load_trainings, plot_trainings, seconds_until

use_course_style()

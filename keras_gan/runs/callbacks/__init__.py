"""Callbacks for a `GAN`'s `fit`: guards, pictures, logs, saved models, progress."""

from keras_gan.runs.callbacks.drawing import FigureOne as FigureOne
from keras_gan.runs.callbacks.drawing import SampleGrid as SampleGrid
from keras_gan.runs.callbacks.guards import NonFiniteGuard as NonFiniteGuard
from keras_gan.runs.callbacks.metrics import Evaluation as Evaluation
from keras_gan.runs.callbacks.metrics import MetricsLog as MetricsLog
from keras_gan.runs.callbacks.progress import Progress as Progress
from keras_gan.runs.callbacks.saving import Checkpoints as Checkpoints
from keras_gan.runs.callbacks.saving import SaveModel as SaveModel
from keras_gan.runs.callbacks.saving import check_intervals as check_intervals
from keras_gan.watching import TrainingDiverged as TrainingDiverged

"""Runs: trainings in directories, and what can be made of them."""

from keras_gan.experiments.model_files import load_gan as load_gan
from keras_gan.runs import callbacks as callbacks
from keras_gan.runs import checkpoint as checkpoint
from keras_gan.runs.exporting import export_run as export_run
from keras_gan.runs.exporting import export_run_file as export_run_file
from keras_gan.runs.exporting import verify_export as verify_export
from keras_gan.runs.figures import draw_figures as draw_figures
from keras_gan.runs.generating import load_generator as load_generator
from keras_gan.runs.generating import load_samples as load_samples
from keras_gan.runs.generating import write_samples as write_samples
from keras_gan.runs.projecting import write_completion as write_completion
from keras_gan.runs.projecting import write_projection as write_projection
from keras_gan.runs.resampling import write_resampled as write_resampled
from keras_gan.runs.run import Run as Run
from keras_gan.runs.scoring import evaluate as evaluate
from keras_gan.runs.scoring import evaluate_all as evaluate_all
from keras_gan.runs.training import CheckpointPlan as CheckpointPlan
from keras_gan.runs.training import train as train
from keras_gan.runs.walking import write_walk as write_walk

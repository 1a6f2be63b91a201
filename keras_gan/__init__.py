"""Generative adversarial nets as an ordinary Keras model."""

# All of it, eagerly: `keras.saving.load_model` finds a class only if it is imported.
from keras_gan import callbacks as callbacks
from keras_gan import checkpoint as checkpoint
from keras_gan import datasets as datasets
from keras_gan import drawing as drawing
from keras_gan import evaluation as evaluation
from keras_gan import export as export
from keras_gan import figures as figures
from keras_gan import images as images
from keras_gan import layers as layers
from keras_gan import losses as losses
from keras_gan import metrics as metrics
from keras_gan import networks as networks
from keras_gan import optimizers as optimizers
from keras_gan import presets as presets
from keras_gan import priors as priors
from keras_gan import runs as runs
from keras_gan import scoring as scoring
from keras_gan import theory as theory
from keras_gan import theory_figures as theory_figures
from keras_gan import training as training
from keras_gan.gan import GAN as GAN
from keras_gan.version import __version__ as __version__

"""Generative adversarial nets as an ordinary Keras model."""

# All of it, eagerly: `keras.saving.load_model` finds a class only if it is imported.
from keras_gan import datasets as datasets
from keras_gan import evaluation as evaluation
from keras_gan import experiments as experiments
from keras_gan import export as export
from keras_gan import layers as layers
from keras_gan import losses as losses
from keras_gan import metrics as metrics
from keras_gan import networks as networks
from keras_gan import optimizers as optimizers
from keras_gan import penalties as penalties
from keras_gan import pictures as pictures
from keras_gan import players as players
from keras_gan import priors as priors
from keras_gan import runs as runs
from keras_gan import samples as samples
from keras_gan import theory as theory
from keras_gan.gan import GAN as GAN
from keras_gan.runs import callbacks as callbacks
from keras_gan.runs import checkpoint as checkpoint
from keras_gan.version import __version__ as __version__

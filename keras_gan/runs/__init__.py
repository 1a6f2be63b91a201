"""Runs: a directory that a training writes, resumes from and is scored in."""

from keras_gan.runs import callbacks as callbacks
from keras_gan.runs import checkpoint as checkpoint
from keras_gan.runs import figures as figures
from keras_gan.runs import run as run
from keras_gan.runs import scoring as scoring
from keras_gan.runs import training as training

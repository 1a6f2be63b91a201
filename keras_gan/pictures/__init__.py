"""Pictures of samples, the figures of the paper, and the health of a training."""

from keras_gan.pictures import figures as figures
from keras_gan.pictures import raster as raster

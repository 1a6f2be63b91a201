"""Builders of generators and discriminators."""

from keras_gan.networks.builders import digits_mlp as digits_mlp
from keras_gan.networks.builders import paper_cifar_conv as paper_cifar_conv
from keras_gan.networks.builders import paper_cifar_mlp as paper_cifar_mlp
from keras_gan.networks.builders import paper_mlp as paper_mlp
from keras_gan.networks.builders import paper_tfd_stage2 as paper_tfd_stage2
from keras_gan.networks.builders import toy_mlp as toy_mlp

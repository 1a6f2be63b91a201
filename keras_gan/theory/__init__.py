"""The propositions of the 2014 paper, by numbers, and their figures."""

from keras_gan.theory.descent import Descent as Descent
from keras_gan.theory.descent import discrete_descent as discrete_descent
from keras_gan.theory.descent import smoothed_gradient as smoothed_gradient
from keras_gan.theory.histograms import (
    binned_jensen_shannon_divergence as binned_jensen_shannon_divergence,
)
from keras_gan.theory.histograms import quantile as quantile
from keras_gan.theory.histograms import quantile_edges as quantile_edges
from keras_gan.theory.propositions import LOG_4 as LOG_4
from keras_gan.theory.propositions import Estimate as Estimate
from keras_gan.theory.propositions import criterion as criterion
from keras_gan.theory.propositions import (
    jensen_shannon_divergence as jensen_shannon_divergence,
)
from keras_gan.theory.propositions import (
    jensen_shannon_lower_bound as jensen_shannon_lower_bound,
)
from keras_gan.theory.propositions import kl_divergence as kl_divergence
from keras_gan.theory.propositions import optimal_discriminator as optimal_discriminator
from keras_gan.theory.propositions import (
    optimal_discriminator_logit as optimal_discriminator_logit,
)
from keras_gan.theory.propositions import value as value

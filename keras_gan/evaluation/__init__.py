"""A generator and a dataset in, scores out, by a protocol that is stated."""

from keras_gan.evaluation.digits import DIGITS_PARZEN_WIDTHS as DIGITS_PARZEN_WIDTHS
from keras_gan.evaluation.digits import digits_report as digits_report
from keras_gan.evaluation.distances import (
    MAX_COVARIANCE_VALUES as MAX_COVARIANCE_VALUES,
)
from keras_gan.evaluation.distances import data_moments as data_moments
from keras_gan.evaluation.distances import feature_scores as feature_scores
from keras_gan.evaluation.distances import moments_of as moments_of
from keras_gan.evaluation.distances import too_many_values as too_many_values
from keras_gan.evaluation.distances import why_no_covariance as why_no_covariance
from keras_gan.evaluation.held_out import HeldOutAnswers as HeldOutAnswers
from keras_gan.evaluation.measures import central_intervals as central_intervals
from keras_gan.evaluation.measures import check_samples as check_samples
from keras_gan.evaluation.measures import (
    discriminator_accuracy as discriminator_accuracy,
)
from keras_gan.evaluation.measures import (
    largest_deviation_of_d as largest_deviation_of_d,
)
from keras_gan.evaluation.measures import representative_rows as representative_rows
from keras_gan.evaluation.measures import score as score
from keras_gan.evaluation.measures import score_images as score_images
from keras_gan.evaluation.measures import score_points as score_points
from keras_gan.evaluation.measures import shared_examples as shared_examples
from keras_gan.evaluation.protocol import Protocol as Protocol
from keras_gan.evaluation.protocol import default_num_samples as default_num_samples
from keras_gan.evaluation.protocol import has_density as has_density
from keras_gan.evaluation.protocol import protocol_for as protocol_for
from keras_gan.evaluation.protocol import sigmas_for as sigmas_for
from keras_gan.evaluation.tables import PUBLISHED as PUBLISHED
from keras_gan.evaluation.tables import check_one_protocol as check_one_protocol
from keras_gan.evaluation.tables import format_digits_report as format_digits_report
from keras_gan.evaluation.tables import format_report as format_report
from keras_gan.evaluation.tables import format_summary as format_summary
from keras_gan.evaluation.tables import summarize as summarize
from keras_gan.evaluation.validation import VALIDATION_SCORES as VALIDATION_SCORES
from keras_gan.evaluation.validation import ValidationScores as ValidationScores

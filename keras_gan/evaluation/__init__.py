"""A generator and a dataset in, scores out, by a protocol that is stated."""

from keras_gan.evaluation.scores import DIGITS_PARZEN_WIDTHS as DIGITS_PARZEN_WIDTHS
from keras_gan.evaluation.scores import PUBLISHED as PUBLISHED
from keras_gan.evaluation.scores import VALIDATION_SCORES as VALIDATION_SCORES
from keras_gan.evaluation.scores import Protocol as Protocol
from keras_gan.evaluation.scores import ValidationScores as ValidationScores
from keras_gan.evaluation.scores import central_interval as central_interval
from keras_gan.evaluation.scores import check_one_protocol as check_one_protocol
from keras_gan.evaluation.scores import check_samples as check_samples
from keras_gan.evaluation.scores import data_moments as data_moments
from keras_gan.evaluation.scores import default_num_points as default_num_points
from keras_gan.evaluation.scores import digits_report as digits_report
from keras_gan.evaluation.scores import discriminator_accuracy as discriminator_accuracy
from keras_gan.evaluation.scores import feature_scores as feature_scores
from keras_gan.evaluation.scores import format_digits_report as format_digits_report
from keras_gan.evaluation.scores import format_report as format_report
from keras_gan.evaluation.scores import format_summary as format_summary
from keras_gan.evaluation.scores import largest_deviation_of_d as largest_deviation_of_d
from keras_gan.evaluation.scores import moments_of as moments_of
from keras_gan.evaluation.scores import protocol_for as protocol_for
from keras_gan.evaluation.scores import score as score
from keras_gan.evaluation.scores import score_images as score_images
from keras_gan.evaluation.scores import score_points as score_points
from keras_gan.evaluation.scores import shared_examples as shared_examples
from keras_gan.evaluation.scores import sigmas_for as sigmas_for
from keras_gan.evaluation.scores import some_rows as some_rows
from keras_gan.evaluation.scores import summarize as summarize

"""Pictures of samples, the figures of the paper, and the health of a training."""

from keras_gan.pictures.curves import training_curves as training_curves
from keras_gan.pictures.diagnosis import Diagnosis as Diagnosis
from keras_gan.pictures.diagnosis import diagnose as diagnose
from keras_gan.pictures.diagnosis import sample_spread as sample_spread
from keras_gan.pictures.figure_one import figure_1 as figure_1
from keras_gan.pictures.figure_one import figure_1_animation as figure_1_animation
from keras_gan.pictures.figure_three import figure_3 as figure_3
from keras_gan.pictures.figure_three import interpolation as interpolation
from keras_gan.pictures.figure_two import figure_2 as figure_2
from keras_gan.pictures.figure_two import nearest_examples as nearest_examples
from keras_gan.pictures.formats import decode_png as decode_png
from keras_gan.pictures.formats import encode_gif as encode_gif
from keras_gan.pictures.formats import encode_png as encode_png
from keras_gan.pictures.frames import Frame as Frame
from keras_gan.pictures.frames import four_frames as four_frames
from keras_gan.pictures.frames import frame_of as frame_of
from keras_gan.pictures.frames import load_frames as load_frames
from keras_gan.pictures.frames import save_frames as save_frames
from keras_gan.pictures.frames import total_variation as total_variation
from keras_gan.pictures.grids import enlarge as enlarge
from keras_gan.pictures.grids import grid as grid
from keras_gan.pictures.grids import resize_within as resize_within
from keras_gan.pictures.grids import sample_picture as sample_picture
from keras_gan.pictures.grids import visible as visible
from keras_gan.pictures.health import health_page as health_page
from keras_gan.pictures.plots import sample_plot as sample_plot

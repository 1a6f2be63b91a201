"""Turns a failed action into a sentence on the page."""

import functools
import html
import logging

import gradio as gr

from keras_gan import checks

_log = logging.getLogger("keras_gan")


def answering(function):
    """Shows a user's mistake as a sentence on the page, and logs any other error."""

    @functools.wraps(function)
    def answer(*arguments):
        try:
            return function(*arguments)
        except Exception as error:
            sentence = checks.one_line(error)
            if not checks.is_mistake(error):
                _log.exception("An action of the page failed.")
                sentence = "This failed; the terminal of keras-gan demo shows why."
            # A name of a file may look like HTML.
            raise gr.Error(
                html.escape(sentence, quote=False), 20, print_exception=False
            ) from None

    return answer

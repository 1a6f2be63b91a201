"""Predictions by one process, in pieces of bounded size."""

import keras
import numpy as np

from keras_gan import replicas


def network(units=12):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(units, activation="tanh")]
    )


def calls_of(model, monkeypatch):
    """The number of rows of each call of `model.predict`."""
    rows = []
    predict = model.predict

    def counting(inputs, **options):
        rows.append(len(inputs))
        return predict(inputs, **options)

    monkeypatch.setattr(model, "predict", counting)
    return rows


def test_pieces_are_those_of_one_call_to_the_last_bit(monkeypatch):
    model = network()
    inputs = np.random.default_rng(0).normal(size=(1003, 5)).astype(np.float32)
    whole = model.predict(inputs, batch_size=16, verbose=0)
    # 12 outputs and 5 inputs in float32: 68 bytes a row, 1,088 a batch.
    monkeypatch.setattr(replicas, "_PREDICT_BYTES", 3 * 1088 + 1000)
    rows = calls_of(model, monkeypatch)
    np.testing.assert_array_equal(replicas.predict_locally(model, inputs, 16), whole)
    # The first batch alone, then three at a time.
    assert rows == [16, *[48] * 20, 27]


def test_small_outputs_are_predicted_at_once(monkeypatch):
    model = network(units=1)
    rows = calls_of(model, monkeypatch)
    inputs = np.zeros((1000, 5), np.float32)
    assert replicas.predict_locally(model, inputs, 16).shape == (1000, 1)
    assert rows == [16, 984]
    rows.clear()
    assert replicas.predict_locally(model, inputs[:16], 16).shape == (16, 1)
    assert rows == [16]


def test_rows_larger_than_a_piece_come_batch_by_batch(monkeypatch):
    model = network()
    monkeypatch.setattr(replicas, "_PREDICT_BYTES", 1)
    rows = calls_of(model, monkeypatch)
    inputs = np.ones((7, 5), np.float32)
    assert replicas.predict_locally(model, inputs, 3).shape == (7, 12)
    assert rows == [3, 3, 1]

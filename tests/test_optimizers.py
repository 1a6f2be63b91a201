"""Schedules and updates against Python floats, NumPy replays and Keras's own."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan.optimizers import (
    Adam,
    ExponentialFall,
    InverseExponentialDecay,
    LinearRamp,
    ScheduledSGD,
    WarmUp,
    fall,
)


def descend(optimizer, steps=20, jit_compile=False):
    """The weights after each step on a quadratic bowl with unequal axes."""
    weights = keras.Variable(np.float32([1.0, -2.0, 0.5]))
    curvature = np.float32([1.0, 0.1, 3.0])
    optimizer.build([weights])

    @tf.function(jit_compile=jit_compile)
    def step():
        optimizer.apply([curvature * weights.value], [weights])

    path = []
    for _ in range(steps):
        step()
        path.append(weights.numpy().copy())
    return np.stack(path)


def replay(rate, momentum, steps=20):
    """The same in NumPy; rate and momentum are functions of the step, from 0."""
    weights = np.float64([1.0, -2.0, 0.5])
    velocity = np.zeros(3)
    path = []
    for step in range(steps):
        gradient = np.float64([1.0, 0.1, 3.0]) * weights
        velocity = momentum(step) * velocity - rate(step) * gradient
        weights = weights + velocity
        path.append(weights)
    return np.stack(path)


# === InverseExponentialDecay ===


@pytest.mark.parametrize("rate", [0.1, 0.004])
def test_decay_is_the_float64_division(rate):
    schedule = InverseExponentialDecay(rate, minimum=0.0)
    compiled = tf.function(schedule, jit_compile=True)
    for step in (0, 1, 10**5, 10**6, 10**7):
        expected = rate / 1.000004**step
        tensor = tf.constant(step, tf.int64)
        for value in (schedule(step), schedule(tensor), compiled(tensor)):
            assert float(value) == pytest.approx(expected, rel=2e-5)


def test_decay_stops_at_the_floor():
    schedule = InverseExponentialDecay(0.1)
    # .1 / 1.000004^n falls below 1e-6 at n = log(1e5) / log(1.000004) = 2,878,237.
    assert float(schedule(2_878_000)) == pytest.approx(1.00095e-6, rel=1e-4)
    assert float(schedule(2_879_000)) == pytest.approx(1e-6, rel=1e-6)
    assert float(schedule(10**8)) == pytest.approx(1e-6, rel=1e-6)


def test_decay_of_divisor_one_is_constant():
    schedule = InverseExponentialDecay(0.3, divisor=1.0)
    assert float(schedule(10**7)) == pytest.approx(0.3)


def test_decay_refuses_arguments_outside_their_range():
    for arguments in (
        (0.0,),
        (-0.1,),
        (0.1, 0.999),
        (0.1, 1.1, -1e-6),
        (float("nan"),),
    ):
        with pytest.raises(ValueError, match=r"^Expected .* Received: ") as error:
            InverseExponentialDecay(*arguments)
        assert str(arguments[-1]) in str(error.value)
        assert "\n" not in str(error.value)


# === LinearRamp ===


def test_ramp_is_linear_between_its_ends():
    schedule = LinearRamp(0.5, 0.7, 500, 1500)
    steps = [0, 500, 501, 1000, 1500, 10**7]
    expected = [0.5, 0.5, 0.5002, 0.6, 0.7, 0.7]
    np.testing.assert_allclose([schedule(s) for s in steps], expected, atol=1e-6)
    tensors = tf.constant(steps, tf.int64)
    np.testing.assert_allclose(schedule(tensors), expected, atol=1e-6)


def test_ramp_goes_down_as_well():
    schedule = LinearRamp(1.0, 0.0, 0, 4)
    values = [float(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(values, [1.0, 0.75, 0.5, 0.25, 0.0, 0.0], atol=1e-7)


def test_ramp_refuses_steps_out_of_order():
    for steps in ((5, 5), (6, 5), (-1, 5)):
        message = rf"^Expected 0 <= .* start_step={steps[0]}, final_step={steps[1]}$"
        with pytest.raises(ValueError, match=message):
            LinearRamp(0.5, 0.7, *steps)


# === ScheduledSGD ===


def test_constant_momentum_is_keras_sgd():
    for momentum in (
        0.0,
        0.5,
        0.9,
        1.0,
    ):
        ours = descend(ScheduledSGD(0.05, momentum))
        theirs = descend(keras.optimizers.SGD(0.05, momentum=momentum))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
        expected = replay(lambda step: 0.05, lambda step, value=momentum: value)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_schedules_are_taken_at_each_step(jit_compile):
    optimizer = ScheduledSGD(
        InverseExponentialDecay(0.1, divisor=1.1, minimum=0.03),
        LinearRamp(0.1, 0.9, 2, 12),
    )
    path = descend(optimizer, jit_compile=jit_compile)
    expected = replay(
        lambda step: max(0.1 / 1.1**step, 0.03),
        lambda step: 0.1 + 0.8 * min(max(step - 2, 0) / 10, 1),
    )
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-5)
    assert int(optimizer.iterations) == 20
    # The schedules matter: their values of step 0 lead elsewhere.
    constant = replay(lambda step: 0.1, lambda step: 0.1)
    assert np.abs(path - constant).max() > 0.1


def test_several_variables_have_velocities_of_their_own():
    variables = [keras.Variable(np.float32([1.0])), keras.Variable(np.eye(2))]
    optimizer = ScheduledSGD(0.1, 0.5)
    gradients = [np.float32([1.0]), np.full((2, 2), 10.0, np.float32)]
    for _ in range(2):
        optimizer.apply(gradients, variables)
    # Steps of -lr g, then of -(.5 + 1) lr g: 2.5 lr g in all.
    np.testing.assert_allclose(variables[0], [0.75], rtol=1e-6)
    np.testing.assert_allclose(variables[1], np.eye(2) - 2.5, rtol=1e-6)
    assert [v.shape for v in optimizer.velocities] == [(1,), (2, 2)]
    np.testing.assert_allclose(optimizer.velocities[0], [-0.15], rtol=1e-6)


def test_what_every_optimizer_takes_is_obeyed():
    weights = keras.Variable(np.float32([0.0, 0.0]))
    optimizer = ScheduledSGD(1.0, 0.0, clipnorm=1.0)
    optimizer.apply([np.float32([30.0, 40.0])], [weights])
    np.testing.assert_allclose(weights, [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        ScheduledSGD(0.05, 0.7),
        ScheduledSGD(InverseExponentialDecay(0.1, 1.1, 0.03), 0.6),
        ScheduledSGD(
            InverseExponentialDecay(0.1, 1.1, 0.03), LinearRamp(0.1, 0.9, 2, 12)
        ),
        ScheduledSGD(keras.optimizers.schedules.CosineDecay(0.1, 20), 0.5),
    ],
)
def test_serialization_with_nested_schedules(optimizer):
    # Through JSON, as in a saved model; Keras also changes the config that it reads.
    text = json.dumps(keras.optimizers.serialize(optimizer))
    copy = keras.optimizers.deserialize(json.loads(text))
    assert type(copy) is ScheduledSGD
    assert json.dumps(keras.optimizers.serialize(copy)) == text
    assert type(copy.momentum) is type(optimizer.momentum)
    expected = descend(ScheduledSGD.from_config(optimizer.get_config()))
    np.testing.assert_array_equal(descend(copy), expected)
    np.testing.assert_array_equal(descend(optimizer), expected)


# === Falls, and what comes before them ===


def test_a_fall_is_a_constant_factor_then_nothing():
    schedule = fall("exponential", 0.2, 0.25, 8)
    values = [float(schedule(step)) for step in range(11)]
    expected = [0.2 * 0.25 ** (min(step, 8) / 8) for step in range(11)]
    assert values == pytest.approx(expected, rel=1e-6)


def test_half_a_cosine_wave():
    schedule = fall("cosine", 0.2, 0.25, 8)
    values = [float(schedule(step)) for step in range(11)]
    waves = [0.5 + 0.5 * np.cos(np.pi * min(step, 8) / 8) for step in range(11)]
    assert values == pytest.approx([0.2 * (0.75 * w + 0.25) for w in waves], rel=1e-6)


def test_warming_up_rises_from_0_to_the_schedule():
    values = [float(WarmUp(0.3, 3)(step)) for step in range(5)]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3])
    falling = ExponentialFall(1.0, 0.1, 4)
    values = [float(WarmUp(falling, 2)(step)) for step in range(4)]
    assert values == pytest.approx([0.5, 10**-0.25, 10**-0.5, 10**-0.75], rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: WarmUp(0.1, 0),
        lambda: ExponentialFall(0.1, 0.0, 5),
        lambda: ExponentialFall(0.1, 0.01, 2.5),
        lambda: fall("linear", 0.1, 0.1, 5),
    ],
)
def test_falls_refuse_arguments_outside_their_range(make):
    with pytest.raises(ValueError, match="Expected"):
        make()


@pytest.mark.parametrize(
    "schedule",
    [
        InverseExponentialDecay(0.2, 1.5, 1e-3),
        LinearRamp(0.5, 0.7, 3, 9),
        ExponentialFall(0.2, 0.01, 9),
        WarmUp(ExponentialFall(0.2, 0.01, 9), 4),
    ],
)
def test_schedules_round_trip_through_their_configs(schedule):
    config = keras.optimizers.schedules.serialize(schedule)
    copy = keras.optimizers.schedules.deserialize(config)
    assert type(copy) is type(schedule)
    values = [float(schedule(step)) for step in range(12)]
    assert [float(copy(step)) for step in range(12)] == values
    assert len(set(values)) > 5


def test_momentum_outside_0_to_1_is_refused():
    for momentum in (-0.1, 1.1, float("nan")):
        message = rf"^Expected momentum in \[0, 1\] .* Received: {momentum}$"
        with pytest.raises(ValueError, match=message):
            ScheduledSGD(momentum=momentum)


# === Adam ===


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"beta_1": 0.0},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"amsgrad": True, "beta_2": 0.5},
        {"weight_decay": 0.1, "clipnorm": 0.5},
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    ],
    ids=str,
)
def test_adam_is_that_of_keras(arguments, jit_compile):
    # In float32 1 - beta_2 is off by 1e-5, which Keras takes in float64.
    schedule = InverseExponentialDecay(0.1, divisor=1.1, minimum=0.03)
    arguments = {**arguments, "learning_rate": schedule, "name": "adam"}
    ours, theirs = Adam(**arguments), keras.optimizers.Adam(**arguments)
    np.testing.assert_allclose(
        descend(ours, jit_compile=jit_compile), descend(theirs), rtol=0, atol=2e-5
    )
    assert ours.get_config() == theirs.get_config()
    for slot, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(slot, other, rtol=1e-4, atol=1e-5)


def test_adam_takes_one_kernel_a_variable():
    weights = [keras.Variable(np.ones((3, 2))), keras.Variable(np.ones(4))]
    for optimizer, kernel in (
        (Adam(), "ResourceApplyAdam"),
        (ScheduledSGD(), "ResourceApplyKerasMomentum"),
    ):
        optimizer.build(weights)

        @tf.function
        def step(optimizer=optimizer):
            optimizer.apply([tf.ones((3, 2)), tf.ones(4)], weights)

        kinds = [op.type for op in step.get_concrete_function().graph.get_operations()]
        assert kinds.count(kernel) == len(weights)
        # Of other assignments there is that of the step counter alone.
        assert sum(kind.startswith("Assign") for kind in kinds) == 1


def test_adam_of_sparse_gradients_is_that_of_keras():
    table = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    gradient = tf.IndexedSlices(tf.constant([[1.0, -2.0]]), tf.constant([1]), (3, 2))
    results = []
    for kind in (Adam, keras.optimizers.Adam):
        weights, optimizer = keras.Variable(table), kind(0.1)
        for _ in range(3):
            optimizer.apply([gradient], [weights])
        results.append(weights.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)
    assert np.abs(results[0] - table).max() > 0.2


@pytest.mark.parametrize("kind", [Adam, ScheduledSGD])
def test_updates_in_half_precision(kind):
    weights = keras.Variable(np.ones(3), dtype="float16")
    optimizer = kind(0.125)
    optimizer.apply([tf.constant([1.0, -1.0, 0.0])], [weights])
    assert weights.dtype == "float16"
    # The first step of either has the length of the rate here.
    np.testing.assert_allclose(weights, [0.875, 1.125, 1.0], atol=2e-3)


def test_adam_comes_back_as_itself():
    text = json.dumps(keras.optimizers.serialize(Adam(0.1, beta_1=0.5)))
    copy = keras.optimizers.deserialize(json.loads(text))
    assert type(copy) is Adam and copy.beta_1 == 0.5
    np.testing.assert_array_equal(descend(copy), descend(Adam(0.1, beta_1=0.5)))

"""The authors' side of bench_hepinfo.py. It runs in the interpreter that has hepinfo.

It reads one job a line from standard input, fits their `BinaryMI`, writes one draw of each row's
bits, and answers with the seconds an epoch. The first epoch, in which TensorFlow traces the model,
does not count. The draws come from their own sampling layer, as in training. Their `predict` would
threshold the bits instead, which is not the layer that the penalty sees.

    python benchmarks/peer_hepinfo.py adult.npz bits.npz < jobs
"""

import json
import os
import sys
import time

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import keras
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

from hepinfo.models.BinaryMI import BinaryMI  # noqa: E402

BITS, HIDDEN = 6, 100


class Clock(keras.callbacks.Callback):
    """The times at which epochs end, by the clock and by the process."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_epoch_end(self, epoch, logs=None):
        """Note the time."""

        self.times.append((time.perf_counter(), time.process_time()))


def clocked(fit, clock):
    """Keras's fit with one more callback, because theirs takes none."""

    def wrapped(self, *arguments, **settings):
        settings["callbacks"] = [*settings.get("callbacks", []), clock]
        return fit(self, *arguments, **settings)

    return wrapped


def fitted(data, job):
    """Fit once. Returns the seconds an epoch, and the model from features to drawn bits."""

    keras.utils.set_random_seed(job["seed"])
    model = BinaryMI(
        hidden_layers=[HIDDEN, BITS],
        quantized_position=[False, True],
        gamma=job["strength"],
        kernel_regularizer=0,
        validation_size=0.0,
        batch_size=job["batch_size"],
        learning_rate=job["learning_rate"],
        epoch=job["epochs"],
    )
    clock, fit = Clock(), keras.Model.fit
    keras.Model.fit = clocked(fit, clock)
    try:
        model.fit(data["x"], data["y"], data["s"])
    finally:
        keras.Model.fit = fit
    seconds, cpu = (np.array(clock.times[-1]) - clock.times[0]) / (len(clock.times) - 1)

    return {"seconds": seconds, "cpu": cpu}, model.model


def drawn(model, x):
    """One draw of each row's bits, from the layer that draws in training."""

    before = keras.Model(model.inputs, model.get_layer("t_1").output)
    bits = model.get_layer("qact_t_1")(before.predict(x, verbose=0), training=True)

    return np.rint(np.asarray(bits)).astype(np.uint8)


def main():
    """Answer jobs until there are none."""

    data = np.load(sys.argv[1])
    data = {name: data[name] for name in data.files}
    for line in sys.stdin:
        times, model = fitted(data, json.loads(line))
        np.savez(sys.argv[2], bits=drawn(model, data["x"]), bits_test=drawn(model, data["x_test"]))
        keras.backend.clear_session()
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()

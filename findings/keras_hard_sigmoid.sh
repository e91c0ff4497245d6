#!/usr/bin/env bash
# Guess: `hard_sigmoid`, the gates' activation of Keras's ConvLSTM2D, is one function, clip(0.2 x + 0.5, 0, 1), and a
#   layer's weights, carried over from Keras 2 to Keras 3 with all its arguments, give the same output.
# Seen: tf-keras 2.18.0 (Keras 2) and keras 3.8.0, both on TensorFlow 2.18.1: Keras 3 computes clip(x / 6 + 0.5, 0, 1)
#   under the same name. Outputs of the same weights differ by 9 to 28 % of the largest one. With "sigmoid" both
#   agree, with each other and with the equations in NumPy; gates lie in the order i, f, c, o, kernels as (k, k, in, 4 out).
#   By default Keras 2's layer has hard_sigmoid gates, Keras 3's sigmoid ones.
# So: a ConvLSTM trained with Keras 2's defaults needs clip(0.2 x + 0.5, 0, 1), which neither Keras 3's `hard_sigmoid`
#   nor `torch.nn.functional.hardsigmoid` is: hardsigmoid(1.2 x) is the same.
# With a path as its argument it writes what it saw there: tests/models/keras_convlstm.npz.
set -euo pipefail
output=$(realpath -m "${1:-/dev/null}")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/see.py" <<'PY'
import sys

import keras
import numpy as np
import tensorflow as tf
import tf_keras

T, H, W, IN, OUT = 4, 4, 5, 3, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


HARD = {2: lambda x: np.clip(0.2 * x + 0.5, 0, 1), 3: lambda x: np.clip(x / 6 + 0.5, 0, 1)}
LIBRARIES = {2: tf_keras, 3: keras}


def convolve(x, kernel):  # (H, W, C), (k, k, C, D): "same", as cross-correlation
    k = len(kernel)
    padded = np.pad(x, ((k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    return sum(
        padded[dy : dy + x.shape[0], dx : dx + x.shape[1]] @ kernel[dy, dx]
        for dy in range(k) for dx in range(k)
    )


def by_hand(x, kernel, recurrent, bias, activation, gate):
    phi = np.tanh if activation == "tanh" else lambda x: x
    h = c = np.zeros((H, W, OUT))
    outputs = []
    for frame in x:
        i, f, g, o = np.split(convolve(frame, kernel) + bias + convolve(h, recurrent), 4, -1)
        c = gate(f) * c + gate(i) * phi(g)
        h = gate(o) * phi(c)
        outputs.append(h)
    return np.stack(outputs), c


def by_keras(version, x, weights, activation, gate):
    library = LIBRARIES[version]
    layer = library.layers.ConvLSTM2D(
        OUT, len(weights[0]), padding="same", activation=activation, recurrent_activation=gate,
        return_sequences=True, return_state=True,
    )
    layer.build((None, *x.shape)) if version == 2 else layer(x[None])
    layer.set_weights(weights)
    y, _, c = (np.asarray(part)[0] for part in layer(x[None]))
    return y, c


points = np.array([-4, -2.5, -1, 0.5, 2, 3], dtype="float32")
for version, library in LIBRARIES.items():
    found = np.asarray(library.activations.hard_sigmoid(tf.constant(points)))
    print(f"Keras {version}: hard_sigmoid{points.tolist()} =", found.round(4).tolist())
    assert np.allclose(found, HARD[version](points), atol=1e-6)
    gates = library.layers.ConvLSTM2D(OUT, 1).recurrent_activation.__name__
    print(f"Keras {version}: gates by default", gates)
    assert gates == {2: "hard_sigmoid", 3: "sigmoid"}[version]

random = np.random.default_rng(0)
stored = {"x": random.normal(size=(T, H, W, IN)).astype("float32")}
for k in (1, 3):
    shapes = ((k, k, IN, 4 * OUT), (k, k, OUT, 4 * OUT), (4 * OUT,))
    weights = [(random.normal(size=shape) / k).astype("float32") for shape in shapes]
    stored |= {f"{name}{k}": w for name, w in zip(("kernel", "recurrent", "bias"), weights)}
    seen = []
    for activation in ("tanh", "linear"):
        outputs = {}
        for gate in ("sigmoid", "hard_sigmoid"):
            for version in LIBRARIES:
                y, c = outputs[gate, version] = by_keras(version, stored["x"], weights, activation, gate)
                sure = by_hand(stored["x"], *weights, activation, sigmoid if gate == "sigmoid" else HARD[version])
                assert np.allclose(y, sure[0], atol=1e-5) and np.allclose(c, sure[1], atol=1e-5)
            apart = np.abs(outputs[gate, 2][0] - outputs[gate, 3][0]).max()
            largest = np.abs(outputs[gate, 2][0]).max()
            print(f"kernel {k}, {activation}, {gate}: Keras 2 and 3 differ by {apart:.6f} of {largest:.3f}")
            seen += [outputs[gate, 2]] if gate == "sigmoid" else [outputs[gate, 2], outputs[gate, 3]]
            assert apart < 1e-5 if gate == "sigmoid" else apart > 0.02 * largest
    # of tanh: sigmoid, hard sigmoid of Keras 2, of Keras 3; of linear likewise
    stored |= {f"y{k}": np.stack([y for y, _ in seen]), f"c{k}": np.stack([c for _, c in seen])}
if sys.argv[1] != "/dev/null":
    np.savez_compressed(sys.argv[1], **stored)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "tensorflow-cpu==2.18.1" "tf-keras==2.18.0" "keras==3.8.0"
TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0 "$folder/venv/bin/python" "$folder/see.py" "$output"

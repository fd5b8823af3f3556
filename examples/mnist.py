"""MNIST by softmax regression, by a network of two dense layers, and by a convolutional network.

    python examples/mnist.py --model softmax     a linear model: 92 % of the test images
    python examples/mnist.py --model mlp         784-128-10: 97.5 %
    python examples/mnist.py --model cnn         two convolutions: 99 %

The images are read from the folder that MATRIXSLOW_DATA names, or downloaded.
"""

from __future__ import annotations

import argparse

import matrixslow as ms


def softmax_regression(image: ms.Node) -> ms.Node:
    return ms.layers.dense(ms.layers.flatten(image), 10, name="scores")


def multilayer_perceptron(image: ms.Node) -> ms.Node:
    h = ms.layers.dense(ms.layers.flatten(image), 128, activation="relu", name="fc1")
    return ms.layers.dense(h, 10, name="fc2")


def convolutional_network(image: ms.Node) -> ms.Node:
    h = ms.layers.conv(image, 32, kernel=3, activation="relu", name="conv1")
    h = ms.layers.max_pool(h, 2)
    h = ms.layers.conv(h, 64, kernel=3, activation="relu", name="conv2")
    h = ms.layers.max_pool(h, 2)
    h = ms.layers.dense(ms.layers.flatten(h), 128, activation="relu", name="fc1")
    return ms.layers.dense(ms.layers.dropout(h, 0.25), 10, name="fc2")


# Name: the model, the first learning rate, the epochs that it needs.
MODELS = {
    "softmax": (softmax_regression, 1e-3, 5),
    "mlp": (multilayer_perceptron, 2e-3, 5),
    "cnn": (convolutional_network, 2e-3, 4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--epochs", type=int, help="by default as many as the model needs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few batches only, as a test")
    options = parser.parse_args()
    model, rate, epochs = MODELS[options.model]
    epochs = options.epochs or epochs

    try:
        data = ms.io.mnist()
    except ms.errors.DatasetMissing as missing:
        print(f"skipped: {missing}")
        raise SystemExit(0) from None
    count = 640 if options.smoke else len(data.train_x)

    with ms.Graph(seed=options.seed) as graph:
        image = ms.Input((None, 1, 28, 28), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        logits = model(image)
        loss = ms.ops.SoftmaxCrossEntropy(logits, label, name="loss")
    print(graph.summary())

    batch_size = 64
    steps = 1 if options.smoke else epochs * (count // batch_size)
    trainer = ms.trainer.Trainer(
        loss,
        ms.optimizers.Adam(ms.optimizers.CosineDecay(rate, total=steps)),
        metrics=[ms.metrics.Accuracy(logits, label)],
    )
    test = {image: data.test_x[:count], label: data.test_y[:count]}
    trainer.fit(
        {image: data.train_x[:count], label: data.train_y[:count]},
        epochs=1 if options.smoke else epochs,
        batch_size=batch_size,
        validation=test,
    )
    print(f"test accuracy {trainer.evaluate(test)['accuracy']:.2%}")


if __name__ == "__main__":
    main()

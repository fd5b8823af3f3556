"""MNIST by a convolutional network on several workers: on parameter servers, by MPI, or alone.

    python examples/distributed_mnist.py                                           alone
    matrixslow launch --servers 1 --workers 3 examples/distributed_mnist.py        a server
    matrixslow launch --engine mpi --workers 3 examples/distributed_mnist.py --by all-reduce

The script is the same in all three: the cluster is found out, not written down. In step, three
workers come to the weights of a single machine that accumulates their batches, bit for bit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

from mnist import convolutional_network

import matrixslow as ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by", choices=("server", "all-reduce"), default="server")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few batches only, as a test")
    options = parser.parse_args()
    cluster = ms.dist.cluster()
    if options.smoke and cluster.source == "alone":
        smoke()
        return

    try:
        data = ms.io.mnist()
    except ms.errors.DatasetMissing as missing:
        print(f"skipped: {missing}")
        raise SystemExit(0 if options.smoke else 1) from None
    count = 384 if options.smoke else len(data.train_x)

    with ms.Graph(seed=0):
        image = ms.Input((None, 1, 28, 28), name="image")
        label = ms.Input((None,), dtype="int64", name="label")
        logits = convolutional_network(image)
        loss = ms.ops.SoftmaxCrossEntropy(logits, label, name="loss")

    by_server = options.by == "server"
    kind = ms.trainer.ParameterServerTrainer if by_server else ms.trainer.AllReduceTrainer
    accuracy = ms.metrics.Accuracy(logits, label)
    trainer = kind(loss, ms.optimizers.Adam(1e-3), cluster=cluster, metrics=[accuracy])
    test = {image: data.test_x[:count], label: data.test_y[:count]}
    trainer.fit(
        {image: data.train_x[:count], label: data.train_y[:count]},
        epochs=1 if options.smoke else options.epochs,
        batch_size=64,
        validation=test,
    )
    if cluster.first:
        print(f"test accuracy {trainer.evaluate(test)['accuracy']:.2%}")
    trainer.close()


def smoke() -> None:
    """The same script once more, on a server and two workers."""
    with tempfile.TemporaryDirectory() as folder:
        job = ["--servers", "1", "--workers", "2", "--state-dir", folder, __file__, "--smoke"]
        subprocess.run([sys.executable, "-m", "matrixslow", "launch", *job], check=True)


if __name__ == "__main__":
    main()

"""What comes in and goes out: data sets, files of data, batches."""

from matrixslow.io.archive import read_archive, write_archive
from matrixslow.io.arff import read_arff
from matrixslow.io.batching import Batches, k_fold, shard, train_test_split
from matrixslow.io.datasets import (
    Dataset,
    TabularDataset,
    articulary_word_recognition,
    digits,
    fashion_mnist,
    iris,
    mnist,
    titanic,
)
from matrixslow.io.folders import data_folder
from matrixslow.io.model_files import load, save
from matrixslow.io.readers import read_idx, read_npz
from matrixslow.io.synthetic import circles, linear, moons, sequences, spirals
from matrixslow.io.tables import Table, read_csv

__all__ = [
    "Batches",
    "Dataset",
    "Table",
    "TabularDataset",
    "articulary_word_recognition",
    "circles",
    "data_folder",
    "digits",
    "fashion_mnist",
    "iris",
    "k_fold",
    "linear",
    "load",
    "mnist",
    "moons",
    "read_archive",
    "read_arff",
    "read_csv",
    "read_idx",
    "read_npz",
    "save",
    "sequences",
    "shard",
    "spirals",
    "titanic",
    "train_test_split",
    "write_archive",
]

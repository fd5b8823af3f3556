"""CSV and ARFF: right, against other readers, damaged at every place."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.arff
from hypothesis import given
from hypothesis import strategies as st

from matrixslow.errors import ArgumentError, FormatError
from matrixslow.io import Table, read_arff, read_csv


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def refused(path: Path, data: bytes | str, read: Callable[..., object], **options: Any) -> str:
    """The message with which a file of these contents is refused, its folder left out."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with pytest.raises(FormatError) as caught:
        read(path, **options)
    return str(caught.value).replace(str(path), "file")


# ---- CSV --------------------------------------------------------------------------------------


def csv_table(path: Path, content: str, **options: Any) -> Table:
    path.write_text(content, "utf-8")
    return read_csv(path, **options)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["1", "-2", "+3"], "int64", [1, -2, 3]),
        (["9223372036854775807"], "int64", [2**63 - 1]),
        (["9223372036854775808", "1"], "float64", [2.0**63, 1.0]),
        (["1", "2.5", "1e-3"], "float64", [1.0, 2.5, 1e-3]),
        (["1", "", "3"], "float64", [1.0, np.nan, 3.0]),
        (["0.1", "", "nan"], "float64", [0.1, np.nan, np.nan]),
        (["1", "two", ""], "<U3", ["1", "two", ""]),
        (["1_000", "2"], "<U5", ["1_000", "2"]),
        (["", ""], "float64", [np.nan, np.nan]),
    ],
)
def test_types_are_inferred(path: Path, values: list[str], dtype: str, expected: Any) -> None:
    table = csv_table(path, "x,y\n" + "".join(f"{value},a\n" for value in values))
    assert table["x"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(table["x"], expected)
    assert table.missing["x"].tolist() == [value == "" for value in values]


def test_csv_options(path: Path) -> None:
    text = "zip;n;note\n01067;?;\n10115;2;NA\n"
    table = csv_table(
        path, text, delimiter=";", missing=("?", "NA"), text=("zip",), columns=("note", "zip", "n")
    )
    assert table.names == ("note", "zip", "n")
    assert len(table) == 2
    assert table["zip"].tolist() == ["01067", "10115"]
    np.testing.assert_array_equal(table["n"], [np.nan, 2])
    assert table.missing["note"].tolist() == [False, True]
    assert repr(table) == "Table(2 rows: note <U1, zip <U5, n float64)"


def test_one_mark_for_missing_values_is_not_taken_letter_by_letter(path: Path) -> None:
    table = csv_table(path, "x\nN\nNA\nA\n", missing="NA")
    assert table["x"].tolist() == ["N", "", "A"]


def test_csv_without_a_header(path: Path) -> None:
    table = csv_table(path, "1,a\n\n2,b\n", names=("number", "letter"))
    assert table["number"].tolist() == [1, 2]
    assert table["letter"].tolist() == ["a", "b"]
    assert refused(path, "1,a\n", read_csv, names=("x", "x")) == (
        "CSV file 'file': two columns are named 'x'\n"
        "  place  names=\n"
        "  hint   give each column a name of its own"
    )


def test_csv_with_marks_line_ends_and_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress('\ufeffa,b\r\n"x\r\ny, ""z""",1\r\n\r\nü,2'.encode()))
    table = read_csv(path)
    assert table["a"].tolist() == ['x\r\ny, "z"', "ü"]
    assert table["b"].tolist() == [1, 2]


def test_csv_of_a_header_alone(path: Path) -> None:
    table = csv_table(path, "a,b\n")
    assert (table.names, len(table)) == (("a", "b"), 0)


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), min_size=1)
)
def test_whatever_the_csv_module_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    path.write_text(buffer.getvalue(), "utf-8", newline="")
    table = read_csv(path, text=("a", "b"))
    # NumPy's text drops NUL characters at the end.
    assert table["a"].tolist() == [row[0].rstrip("\0") for row in rows]
    assert table["b"].tolist() == [row[1].rstrip("\0") for row in rows]


CSV = 'name,age,"a b"\n"Tom, Sr.",3,1.5\nMiez,,2\n'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            "",
            "CSV file 'file': it has no header line\n"
            "  place  line 1\n"
            "  hint   write the columns' names into the first line, or give names=",
        ),
        (
            "a,b,a\n1,2,3\n",
            "CSV file 'file': two columns are named 'a'\n"
            "  place  line 1\n"
            "  hint   give each column a name of its own",
        ),
        (
            'a,b\n"1\n1",2\n3\n',
            "CSV file 'file': 1 values in a row, 2 columns\n"
            "  place  line 4\n"
            "  hint   quote values that hold the delimiter; if it is the last line, "
            "the file is cut",
        ),
        (
            'a,b\n1,"2\n',
            "CSV file 'file': unexpected end of data\n"
            "  place  line 2\n"
            "  hint   close every quote, and double a quote inside a quoted value",
        ),
        (
            b"a,b\n1,\xfc\n",
            "CSV file 'file': byte 0xfc is no UTF-8 text\n"
            "  place  line 2, byte 6\n"
            "  hint   save it as UTF-8 text",
        ),
    ],
    ids=["empty", "twice", "short row", "open quote", "not UTF-8"],
)
def test_csv_refusals(path: Path, data: bytes | str, expected: str) -> None:
    assert refused(path, data, read_csv) == expected


def test_a_csv_cut_off_inside_a_row_is_refused(path: Path) -> None:
    rows = CSV.splitlines(keepends=True)
    for number, row in enumerate(rows[1:], 1):
        before = "".join(rows[:number])
        for length in range(1, row.rindex(",") + 1):
            assert f"  place  line {number + 1}\n" in refused(path, before + row[:length], read_csv)


def test_columns_that_are_not_there_are_refused(path: Path) -> None:
    expected = "table: it has no column 'Age'\n  has    name, age, a b\n  hint   take one of these"
    table = csv_table(path, CSV)
    for ask in (
        lambda: table["Age"],
        lambda: read_csv(path, columns=("name", "Age")),
        lambda: read_csv(path, text=("Age",)),
    ):
        with pytest.raises(ArgumentError) as caught:
            ask()
        assert str(caught.value) == expected


def test_titanic_agrees_with_the_csv_module(data_folder: Path) -> None:
    path = data_folder / "titanic.csv"
    table = read_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(table) == len(rows) == 891
    kinds = {name: table[name].dtype.kind for name in table.names}
    assert kinds == {
        **dict.fromkeys(("PassengerId", "Survived", "Pclass", "SibSp", "Parch"), "i"),
        **dict.fromkeys(("Age", "Fare"), "f"),
        **dict.fromkeys(("Name", "Sex", "Ticket", "Cabin", "Embarked"), "U"),
    }
    for name in table.names:
        texts = [row[name] for row in rows]
        assert table.missing[name].tolist() == [text == "" for text in texts]
        if kinds[name] == "U":
            assert table[name].tolist() == texts
        else:
            np.testing.assert_array_equal(table[name], [float(text or "nan") for text in texts])


# ---- ARFF -------------------------------------------------------------------------------------

PETS = """% some pets
@RELATION 'small animals'
@attribute age REAL
@attribute 'its weight'\tnumeric
@attribute kind {cat,dog,'guinea pig'}
@attribute legs integer

@DATA
4.5, 3e0, 'guinea pig', 4
% one that lost its papers
?,2, ?, 3
-1,0.5,dog, 4
"""


def arff_table(path: Path, text: str) -> Table:
    path.write_text(text, "utf-8")
    return read_arff(path)


def test_plain_arff_agrees_with_scipy(path: Path) -> None:
    table = arff_table(path, PETS)
    data, meta = scipy.io.arff.loadarff(io.StringIO(PETS))
    assert list(table.names) == meta.names()
    for name in ("age", "its weight", "legs"):
        assert table[name].dtype == np.float64
        np.testing.assert_array_equal(table[name], data[name])
    classes = table.classes["kind"]
    assert classes == meta["kind"][1] == ("cat", "dog", "guinea pig")
    names = [classes[number] if number >= 0 else "?" for number in table["kind"]]
    assert [name.encode() for name in names] == data["kind"].tolist()
    assert table.missing["kind"].tolist() == [False, True, False]
    assert table.missing["age"].tolist() == [False, True, False]


def test_iris_as_arff_agrees_with_scipy(path: Path, rng: np.random.Generator) -> None:
    numbers = rng.normal(size=(200, 4)).round(3)
    kinds = rng.integers(0, 3, 200)
    header = "@relation r\n" + "".join(f"@attribute a{i} numeric\n" for i in range(4))
    lines = "".join(
        ",".join(map(str, row)) + f",k{kind}\n" for row, kind in zip(numbers, kinds, strict=True)
    )
    text = f"{header}@attribute kind {{k0,k1,k2}}\n@data\n{lines}"
    table = arff_table(path, text)
    data, _ = scipy.io.arff.loadarff(io.StringIO(text))
    for i in range(4):
        np.testing.assert_array_equal(table[f"a{i}"], data[f"a{i}"])
    np.testing.assert_array_equal(table["kind"], kinds)


SERIES = r"""@relation walk
@attribute series relational
  @attribute step0 numeric
  @attribute step1 numeric
  @attribute step2 numeric
@end series
@attribute who string
@attribute pace {slow, 'very fast'}
@data
'1,2,3\n4,5.5,6',"it's me",slow
'7,?,9\n0,0,0', 'O\'Hara, the "one"', 'very fast'
"1,1,1\n2,2,2",?,?
"""


def test_series_are_rows_channels_steps(path: Path) -> None:
    path.write_bytes(gzip.compress(SERIES.encode()))
    table = read_arff(path)
    assert table["series"].dtype == np.float32
    np.testing.assert_array_equal(
        table["series"],
        [
            [[1, 2, 3], [4, 5.5, 6]],
            [[7, np.nan, 9], [0, 0, 0]],
            [[1, 1, 1], [2, 2, 2]],
        ],
    )
    assert np.argwhere(table.missing["series"]).tolist() == [[1, 0, 1]]
    assert table["who"].tolist() == ["it's me", 'O\'Hara, the "one"', ""]
    assert table.missing["who"].tolist() == [False, False, True]
    assert table["pace"].tolist() == [0, 1, -1]
    assert table.classes == {"pace": ("slow", "very fast")}


def changed(before: str, after: str) -> str:
    """The series file with one thing changed in it."""
    assert SERIES.count(before) == 1
    return SERIES.replace(before, after)


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("", "it ends before @data", 1),
        ("%PDF-1.4\n<html>", "the header says '<html>', which is not understood", 2),
        (SERIES[: SERIES.index("@data")], "it ends before @data", 9),
        (SERIES[: SERIES.index("@end")], "it ends before @end series", 6),
        (SERIES[: SERIES.index("'1,2,3")], "it ends before the first row", 10),
        (
            changed("step2 numeric", "step2 string"),
            "series 'series' is not all of numbers",
            5,
        ),
        (
            changed("who string", "who date 'yyyy'"),
            "attribute 'who' is of type 'date 'yyyy'', which is not read",
            7,
        ),
        (changed("pace {slow", "who {slow"), "two attributes are named 'who'", 8),
        (changed("@attribute pace", "@attribut pace"), None, 8),
        (
            changed(", 'very fast'\n", "\n"),
            "2 values in a row, 3 attributes",
            11,
        ),
        (
            changed("'very fast'\n\"", "'very fast\n\""),
            "value 3 of the row is quoted wrongly",
            11,
        ),
        (
            changed('me",slow', 'me",quick'),
            "attribute 'pace': 'quick' is none of slow, very fast",
            10,
        ),
        (
            changed("5.5", "5.x"),
            "attribute 'series': could not convert string to float: '5.x'",
            10,
        ),
        (
            changed(r"7,?,9\n0,0,0", r"7,?,9\n0,0"),
            "attribute 'series': 2 steps in a channel, 3 declared",
            11,
        ),
        (
            changed(r"1,1,1\n2,2,2", "1,1,1"),
            "attribute 'series': 1 channels, 2 in rows before",
            12,
        ),
        (
            changed('"1,1,1', '{0 "1,1,1'),
            "sparse rows are not read",
            12,
        ),
    ],
)
def test_arff_refusals(path: Path, text: str, problem: str | None, line: int) -> None:
    problem = problem or (
        "the header says '@attribut pace {slow, 'very fast'}', which is not understood"
    )
    assert refused(path, text, read_arff) == (
        f"ARFF file 'file': {problem}\n"
        f"  place  line {line}\n"
        "  hint   give a complete ARFF file of this form, or fetch this one again"
    )


def test_an_arff_cut_off_is_refused_or_short(path: Path) -> None:
    for length in range(len(SERIES) - 1):
        rows = SERIES[:length].rstrip().count("\n") - 8
        if rows > 0 and "\n" in SERIES[length - 1 : length + 1]:
            assert len(arff_table(path, SERIES[:length])) == rows
        else:
            assert "ARFF file 'file': " in refused(path, SERIES[:length], read_arff)


def test_the_real_series_are_right(data_folder: Path) -> None:
    path = data_folder / "ArticularyWordRecognition_TRAIN.arff.gz"
    table = read_arff(path)
    series = table["relationalAtt"]
    assert series.shape == (275, 9, 144)
    assert not table.missing["relationalAtt"].any()
    assert np.bincount(table["classAttribute"]).tolist() == [11] * 25
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = [line for line in lines if line.startswith("'")]
    for number in (0, 137, 274):
        text, label = rows[number][1:].split("',")
        expected = np.loadtxt(io.StringIO(text.replace("\\n", "\n")), delimiter=",")
        np.testing.assert_array_equal(series[number], expected.astype(np.float32))
        assert table.classes["classAttribute"][table["classAttribute"][number]] == label

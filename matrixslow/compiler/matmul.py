"""Matrix products as native functions: tiles of the result whose sums stay in registers.

A stretch of columns of b, a few vectors wide, meets a few rows of a at a time. It is copied where
many rows follow or where its columns do not lie together; a is read where it lies. Every element is
summed in one order, however the work is cut, so that the number of threads changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from matrixslow.compiler.llvm import TYPES, DType, load_module, many_registers, vector_bytes

HEIGHT = 384
"""How many rows of a meet all of b before the next ones."""

MANY = 48
"""For that many rows of a, a stretch of b is copied first, so that it lies together."""

DEPTH = 512
"""How many terms are summed before they are added to the result."""

PARAMETERS = (
    "i64 %m, i64 %n, i64 %k, ptr %a, i64 %a.row, i64 %a.column, ptr %b, i64 %b.row, "
    "i64 %b.column, ptr %c, i64 %c.row, i64 %c.column, i1 %add"
)
"""c (m, n) = a (m, k) b (k, n), or c += a b; strides in elements, that of c's columns is 1."""


@cache
def product(dtype: DType) -> int:
    """The address of the function that multiplies matrices of a floating-point dtype."""
    rows, vectors = ((4, 1), 4) if many_registers() else ((6, 2, 1), 2)
    lanes = vector_bytes() // dtype.itemsize
    module = load_module(source(TYPES[dtype], lanes, rows, vectors))
    found = module.address("product")
    module.keep()
    return found


def source(kind: str, lanes: int, rows: tuple[int, ...], vectors: int) -> str:
    """The LLVM text, with the arguments of `Writer`."""
    wide, one = f"<{lanes} x {kind}>", "f32" if kind == "float" else "f64"
    declared = f"""
declare {wide} @llvm.fmuladd.v{lanes}{one}({wide}, {wide}, {wide})
declare {wide} @llvm.masked.load.v{lanes}{one}.p0(ptr, i32, <{lanes} x i1>, {wide})
declare void @llvm.masked.store.v{lanes}{one}.p0({wide}, ptr, i32, <{lanes} x i1>)
declare i64 @llvm.smin.i64(i64, i64)
"""
    writer = Writer(kind, lanes, rows, vectors)
    return (
        declared
        + writer.strip(vectors)
        + writer.strip(1)
        + writer.copy()
        + writer.turn()
        + writer.product()
    )


class Writer:
    """Prints the functions.

    Args:
        kind: LLVM's type of an element.
        lanes: How many of them a vector holds.
        rows: How many rows of a tile are summed together; fewer for those that are left over.
        vectors: How many vectors a stretch of columns holds.
    """

    def __init__(self, kind: str, lanes: int, rows: tuple[int, ...], vectors: int) -> None:
        self.kind, self.lanes, self.rows, self.vectors = kind, lanes, rows, vectors
        self.vector = f"<{lanes} x {kind}>"
        self.suffix = f"v{lanes}{'f32' if kind == 'float' else 'f64'}"
        self.bytes = 4 if kind == "float" else 8

    # ---- the functions -------------------------------------------------------------------------

    def strip(self, vectors: int) -> str:
        """All rows of one stretch of columns; the last vector of a narrow one may be cut."""
        self._begin(
            f"define internal void @strip{vectors}(i64 %m, i64 %columns, i64 %k, ptr %a, "
            "i64 %a.row, i64 %a.column, ptr %b, i64 %b.row, ptr %c, i64 %c.row, i1 %add)"
        )
        mask = None
        if vectors == 1:
            count = self._emit("trunc i64 %columns to i32")
            numbers = ", ".join(f"i32 {number}" for number in range(self.lanes))
            mask = self._emit(
                f"icmp ult <{self.lanes} x i32> <{numbers}>, {self._all('i32', count)}"
            )
        start = "0"
        for rows in self.rows:
            left = self._emit(f"sub i64 %m, {start}")
            rest = self._emit(f"urem i64 {left}, {rows}")
            end = self._emit(f"sub i64 %m, {rest}")
            with self._loop(start, end, rows) as row:
                a = self._at("%a", self._emit(f"mul i64 {row}, %a.row"))
                c = self._at("%c", self._emit(f"mul i64 {row}, %c.row"))
                self._tile(rows, vectors, a, c, mask)
            start = end
        return self._end()

    def copy(self) -> str:
        """Copy a stretch of b whose columns lie together: panel[i, j] = b[i, j]."""
        self._begin(
            "define internal void @copy(i64 %columns, i64 %k, ptr %b, i64 %b.row, ptr %panel)"
        )
        with self._loop("0", "%k", 1) as row, self._loop("0", "%columns", 1) as column:
            place = self._at("%b", self._emit(f"mul i64 {row}, %b.row"), column)
            value = self._emit(f"load {self.kind}, ptr {place}")
            to = self._emit(f"mul i64 {row}, {self.vectors * self.lanes}")
            self._lines.append(f"  store {self.kind} {value}, ptr {self._at('%panel', to, column)}")
        return self._end()

    def turn(self) -> str:
        """Transpose a stretch of b, a square of vectors at a time: panel[i, j] = b[i, j]."""
        self._begin(
            "define internal void @turn(i64 %columns, i64 %k, ptr %b, i64 %b.row, i64 %b.column, "
            "ptr %panel)"
        )
        width, lanes = self.vectors * self.lanes, self.lanes
        rows = self._emit(f"and i64 %k, {-lanes}")
        whole = self._emit("icmp eq i64 %b.row, 1")
        rows = self._emit(f"select i1 {whole}, i64 {rows}, i64 0")
        columns = self._emit(f"and i64 %columns, {-lanes}")
        with self._loop("0", columns, lanes) as column, self._loop("0", rows, lanes) as row:
            start = self._at("%b", self._emit(f"mul i64 {column}, %b.column"), row)
            square = [
                self._emit(
                    f"load {self.vector}, ptr "
                    f"{self._at(start, self._emit(f'mul i64 {number}, %b.column'))}, "
                    f"align {self.bytes}"
                )
                for number in range(lanes)
            ]
            to = self._at("%panel", self._emit(f"mul i64 {row}, {width}"), column)
            for number, vector in enumerate(self._transposed(square)):
                self._store(vector, self._at(to, str(number * width)))
        for first, last, start in (("0", columns, rows), (columns, "%columns", "0")):
            with self._loop(first, last, 1) as column, self._loop(start, "%k", 1) as row:
                place = self._emit(f"mul i64 {row}, %b.row")
                place = self._at("%b", place, self._emit(f"mul i64 {column}, %b.column"))
                value = self._emit(f"load {self.kind}, ptr {place}")
                to = self._at("%panel", self._emit(f"mul i64 {row}, {width}"), column)
                self._lines.append(f"  store {self.kind} {value}, ptr {to}")
        return self._end()

    def product(self) -> str:
        """The whole product, by blocks of rows and terms, and stretches of columns."""
        width = self.vectors * self.lanes
        self._begin(f"define void @product({PARAMETERS})")
        panel = self._emit(f"alloca [{DEPTH * width} x {self.kind}], align 64")
        together = self._emit("icmp eq i64 %b.column, 1")
        apart = self._emit(f"xor i1 {together}, true")
        copied = self._both(together, f"icmp sge i64 %m, {MANY}")
        stays = self._both(together, f"icmp slt i64 %m, {MANY}")
        with self._loop("0", "%m", HEIGHT) as row, self._loop("0", "%k", DEPTH) as block:
            rows = self._least(self._emit(f"sub i64 %m, {row}"), str(HEIGHT))
            depth = self._least(self._emit(f"sub i64 %k, {block}"), str(DEPTH))
            add = self._emit(f"or i1 %add, {self._emit(f'icmp sgt i64 {block}, 0')}")
            a = self._at("%a", self._emit(f"mul i64 {row}, %a.row"))
            a = self._at(a, self._emit(f"mul i64 {block}, %a.column"))
            with self._loop("0", "%n", width) as column:
                columns = self._least(self._emit(f"sub i64 %n, {column}"), str(width))
                b = self._at("%b", self._emit(f"mul i64 {block}, %b.row"))
                b = self._at(b, self._emit(f"mul i64 {column}, %b.column"))
                with self._when(copied):
                    self._lines.append(
                        f"  call void @copy(i64 {columns}, i64 {depth}, ptr {b}, i64 %b.row, "
                        f"ptr {panel})"
                    )
                with self._when(apart):
                    self._lines.append(
                        f"  call void @turn(i64 {columns}, i64 {depth}, ptr {b}, i64 %b.row, "
                        f"i64 %b.column, ptr {panel})"
                    )
                b = self._emit(f"select i1 {stays}, ptr {b}, ptr {panel}")
                step = self._emit(f"select i1 {stays}, i64 %b.row, i64 {width}")
                c = self._at("%c", self._emit(f"mul i64 {row}, %c.row"), column)
                whole = self._emit(f"icmp eq i64 {columns}, {width}")
                wide = self._emit(f"select i1 {whole}, i64 1, i64 0")
                narrow = self._emit(f"select i1 {whole}, i64 0, i64 {columns}")
                for vectors, end in ((self.vectors, wide), (1, narrow)):
                    with self._loop("0", end, self.lanes) as start:
                        left = self._emit(f"sub i64 {columns}, {start}")
                        self._lines.append(
                            f"  call void @strip{vectors}(i64 {rows}, i64 {left}, i64 {depth}, "
                            f"ptr {a}, i64 %a.row, i64 %a.column, "
                            f"ptr {self._at(b, start)}, i64 {step}, "
                            f"ptr {self._at(c, start)}, i64 %c.row, i1 {add})"
                        )
        return self._end()

    def _tile(self, rows: int, vectors: int, a: str, c: str, mask: str | None) -> None:
        """A few rows of c = a b, or of c += a b; the sums are in registers meanwhile."""
        vector = self.vector
        sums = [[self._emit(f"alloca {vector}") for _ in range(vectors)] for _ in range(rows)]
        for total in (total for found in sums for total in found):
            self._lines.append(f"  store {vector} zeroinitializer, ptr {total}")
        with self._loop("0", "%k", 1) as term:
            b = self._at("%b", self._emit(f"mul i64 {term}, %b.row"))
            bs = [self._load(self._at(b, str(v * self.lanes)), mask) for v in range(vectors)]
            column = self._emit(f"mul i64 {term}, %a.column")
            for row, found in enumerate(sums):
                place = self._at(a, self._emit(f"mul i64 {row}, %a.row"), column)
                value = self._all(self.kind, self._emit(f"load {self.kind}, ptr {place}"))
                for total, x in zip(found, bs, strict=True):
                    old = self._emit(f"load {vector}, ptr {total}")
                    new = self._emit(
                        f"call {vector} @llvm.fmuladd.{self.suffix}({vector} {value}, "
                        f"{vector} {x}, {vector} {old})"
                    )
                    self._lines.append(f"  store {vector} {new}, ptr {total}")
        for row, found in enumerate(sums):
            start = self._at(c, self._emit(f"mul i64 {row}, %c.row"))
            places = [self._at(start, str(v * self.lanes)) for v in range(vectors)]
            with self._when("%add"):
                for total, place in zip(found, places, strict=True):
                    old = self._load(place, mask)
                    new = self._emit(f"load {vector}, ptr {total}")
                    new = self._emit(f"fadd {vector} {old}, {new}")
                    self._lines.append(f"  store {vector} {new}, ptr {total}")
            for total, place in zip(found, places, strict=True):
                self._store(self._emit(f"load {vector}, ptr {total}"), place, mask)

    # ---- text ----------------------------------------------------------------------------------

    def _begin(self, head: str) -> None:
        self._lines = [head + ' noinline nounwind "prefer-vector-width"="512" {']
        self._count = 0

    def _end(self) -> str:
        """The text; memory for numbers that change is asked for before anything else."""
        first = [line for line in self._lines if " = alloca " in line]
        rest = [line for line in self._lines[1:] if " = alloca " not in line]
        return "\n".join([self._lines[0], *first, *rest, "  ret void\n}\n"])

    def _emit(self, text: str) -> str:
        self._count += 1
        self._lines.append(f"  %v{self._count} = {text}")
        return f"%v{self._count}"

    @contextmanager
    def _loop(self, start: str, end: str, step: int) -> Iterator[str]:
        """What is printed meanwhile runs for start, start + step, ... below the end."""
        place = self._emit("alloca i64")
        name = place[1:]
        self._lines += [f"  store i64 {start}, ptr {place}", f"  br label %{name}.test"]
        self._lines.append(f"{name}.test:")
        now = self._emit(f"load i64, ptr {place}")
        more = self._emit(f"icmp slt i64 {now}, {end}")
        self._lines.append(f"  br i1 {more}, label %{name}.do, label %{name}.end\n{name}.do:")
        yield now
        following = self._emit(f"add nsw i64 {now}, {step}")
        self._lines.append(f"  store i64 {following}, ptr {place}")
        self._lines.append(f"  br label %{name}.test\n{name}.end:")

    @contextmanager
    def _when(self, condition: str) -> Iterator[None]:
        """What is printed meanwhile runs if the condition holds."""
        self._count += 1
        name = f"c{self._count}"
        self._lines.append(f"  br i1 {condition}, label %{name}.do, label %{name}.end\n{name}.do:")
        yield
        self._lines.append(f"  br label %{name}.end\n{name}.end:")

    def _both(self, condition: str, other: str) -> str:
        return self._emit(f"and i1 {condition}, {self._emit(other)}")

    def _at(self, base: str, *offsets: str) -> str:
        for offset in offsets:
            base = self._emit(f"getelementptr inbounds {self.kind}, ptr {base}, i64 {offset}")
        return base

    def _least(self, one: str, other: str) -> str:
        return self._emit(f"call i64 @llvm.smin.i64(i64 {one}, i64 {other})")

    def _all(self, kind: str, value: str) -> str:
        """A vector with the same number in every lane."""
        vector = f"<{self.lanes} x {kind}>"
        first = self._emit(f"insertelement {vector} poison, {kind} {value}, i32 0")
        return self._emit(
            f"shufflevector {vector} {first}, {vector} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def _load(self, place: str, mask: str | None) -> str:
        if mask is None:
            return self._emit(f"load {self.vector}, ptr {place}, align {self.bytes}")
        return self._emit(
            f"call {self.vector} @llvm.masked.load.{self.suffix}.p0(ptr {place}, i32 {self.bytes}, "
            f"<{self.lanes} x i1> {mask}, {self.vector} zeroinitializer)"
        )

    def _store(self, value: str, place: str, mask: str | None = None) -> None:
        if mask is None:
            self._lines.append(f"  store {self.vector} {value}, ptr {place}, align {self.bytes}")
            return
        self._lines.append(
            f"  call void @llvm.masked.store.{self.suffix}.p0({self.vector} {value}, ptr {place}, "
            f"i32 {self.bytes}, <{self.lanes} x i1> {mask})"
        )

    def _transposed(self, square: Sequence[str]) -> list[str]:
        """As many vectors as one has lanes, turned: each round deals out two as one deals cards."""
        found, half = list(square), self.lanes // 2
        for _ in range(self.lanes.bit_length() - 1):
            dealt = []
            for x, y in zip(found[:half], found[half:], strict=True):
                for start in (0, half):
                    lanes = [
                        f"i32 {number + way * self.lanes}"
                        for number in range(start, start + half)
                        for way in (0, 1)
                    ]
                    dealt.append(
                        self._emit(
                            f"shufflevector {self.vector} {x}, {self.vector} {y}, "
                            f"<{self.lanes} x i32> <{', '.join(lanes)}>"
                        )
                    )
            found = dealt
        return found

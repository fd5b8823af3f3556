"""LLVM: kernels printed as LLVM's language, and made into machine code for this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from matrixslow.compiler import mathlib
from matrixslow.compiler.cache import cached
from matrixslow.compiler.indices import ZERO, Axis, Index, Quotient, Remainder
from matrixslow.compiler.loops import (
    THREAD,
    Gemm,
    Kernel,
    Loop,
    Matrix,
    Set,
    Statement,
    Store,
    loops,
    make_kernel,
    statements,
)
from matrixslow.compiler.symbols import Buffer, Local, Symbol, Unsupported, atoms, parts

DType = np.dtype[Any]

TYPES = {
    np.dtype(name): kind
    for kind, names in (
        ("float", ("float32",)),
        ("double", ("float64",)),
        ("i1", ("bool",)),
        *((f"i{bits}", (f"int{bits}", f"uint{bits}")) for bits in (8, 16, 32, 64)),
    )
    for name in names
}

ARITHMETIC = {
    "add": ("fadd", "add", "add"),
    "subtract": ("fsub", "sub", "sub"),
    "multiply": ("fmul", "mul", "mul"),
    "divide": ("fdiv", "", ""),
    "bitwise_and": ("", "and", "and"),
    "bitwise_or": ("", "or", "or"),
    "bitwise_xor": ("", "xor", "xor"),
    "logical_and": ("", "and", "and"),
    "logical_or": ("", "or", "or"),
    "logical_xor": ("", "xor", "xor"),
    "left_shift": ("", "shl", "shl"),
    "right_shift": ("", "ashr", "lshr"),
}
"""Instructions for floating-point numbers, signed and unsigned integers."""

COMPARISONS = {
    "equal": ("oeq", "eq", "eq"),
    "not_equal": ("une", "ne", "ne"),
    "less": ("olt", "slt", "ult"),
    "less_equal": ("ole", "sle", "ule"),
    "greater": ("ogt", "sgt", "ugt"),
    "greater_equal": ("oge", "sge", "uge"),
}

PRODUCTS = (np.dtype("float32"), np.dtype("float64"))
"""The dtypes of matrix products, whose functions are the first entries of a step's table."""

INTRINSICS = {
    "sqrt": "sqrt",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "rint": "rint",
    "absolute": "fabs",
    "fabs": "fabs",
    "maximum": "maximum",
    "minimum": "minimum",
    "copysign": "copysign",
    "power": "pow",
}

# In float32, a * b + c may be rounded once; in float64 results are the interpreter's. NaN and
# infinity keep their meaning in both.
FLAGS = "contract "
# The terms of a sum may be added in any order, so that it can be done in vectors.
SUM_FLAGS = "contract reassoc nsz "


class Module:
    """Machine code made from LLVM text."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def address(self, function: str) -> int:
        """Where a function lies."""
        return int(self._engine.get_function_address(function))

    def keep(self) -> None:
        """Leave the code in memory for good; functions must be looked up before."""
        self._engine.detach()


@cache
def _host() -> tuple[str, str]:
    """The processor and what it can do, as LLVM names them."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _target() -> Any:
    cpu, features = _host()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )


def load_module(source: str) -> Module:
    """Make LLVM text callable: compiled now, or by an earlier process."""
    versions = (llvmlite.__version__, llvm.llvm_version_info, OPTIONS)
    key = "\n".join(map(str, (*_host(), *versions, source)))
    code = cached(key, lambda: _compiled(source))
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Module(engine)


WIDE = '"prefer-vector-width"="512"'
"""Left alone, LLVM uses half of the registers that some processors have."""

OPTIONS = {"loop_vectorization": True, "slp_vectorization": False, "loop_unrolling": False}
"""How LLVM optimizes. Unrolling would treble the time that it takes, for nothing."""


def _compiled(source: str) -> bytes:
    target = _target()
    module = llvm.parse_assembly(source)
    module.verify()  # else a mistake of ours would end the process
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    for name, value in OPTIONS.items():
        setattr(options, name, value)
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = target.emit_object(module)
    return code


def type_of(dtype: DType) -> str:
    """LLVM's name of a scalar type in a register."""
    if dtype in TYPES:
        return TYPES[dtype]
    raise Unsupported(f"no lowering for {dtype}")


class Printer:
    """Prints kernels as LLVM functions: void (ptr..., ptr table, i64 thread, i64 low, i64 high).

    Attributes:
        declared: Lines that declare the functions which the kernels call.
    """

    def __init__(self) -> None:
        self.declared: dict[str, str] = {}
        self.lines: list[str] = []

    # ---- one kernel ----------------------------------------------------------------------------

    def kernel(self, kernel: Kernel, homes: Mapping[Buffer, Buffer]) -> tuple[str, list[Buffer]]:
        """A kernel's parameters and body, and the buffers that are its first arguments."""
        self.lines = []
        self._kernel = kernel
        buffers = list(dict.fromkeys(homes.get(buffer, buffer) for buffer in kernel.buffers))
        names = {buffer: f"%b{number}" for number, buffer in enumerate(buffers)}
        self._pointers = {buffer: names[homes.get(buffer, buffer)] for buffer in kernel.buffers}
        self._axes = {THREAD: "%thread"}
        self._scope: list[dict[Any, str]] = [{}]
        self._locals: dict[Local, str] = {}
        self._count = 0
        self._lanes: Axis | None = None
        parameters = [f"ptr noalias {name}" for name in names.values()]
        parameters += ["ptr %table", "i64 %thread", "i64 %low", "i64 %high"]
        self.lines.append(f"({', '.join(parameters)}) noinline nounwind {WIDE} {{")
        self._label("entry")
        for statement, _ in statements(kernel.body):
            if isinstance(statement, Set) and statement.local not in self._locals:
                kind = _wide(type_of(statement.local.dtype), statement.local.lanes)
                self._locals[statement.local] = self._emit(f"alloca {kind}")
        self._body(kernel.body)
        self.lines.append("  ret void\n}\n")
        return "\n".join(self.lines), buffers

    def _body(self, body: tuple[Statement, ...]) -> None:
        self._scope.append({})
        stores: list[tuple[Store, str, str]] = []
        for statement in body:
            if isinstance(statement, Store):
                # What happens together reads the values before all of it.
                value = self._value(statement.value, sums=_adds(statement))
                guard = "" if statement.guard is None else self.symbol(statement.guard)
                stores.append((statement, value, guard))
                continue
            self._write(stores)
            if isinstance(statement, Set):
                self._set(statement)
            elif isinstance(statement, Loop):
                self._loop(statement)
            else:
                self._multiply(statement)
        self._write(stores)
        self._scope.pop()

    def _loop(self, loop: Loop) -> None:
        if loop.axis.lanes:
            self._lanes = loop.axis
            self._axes[loop.axis] = "0"
            self._body(loop.body)
            self._lanes = None
            return
        number = self._next()
        start, end = "0", str(loop.axis.size)
        if loop.axis is self._kernel.split:
            start, end = "%low", "%high"
            some = self._emit(f"icmp slt i64 {start}, {end}")
            self.lines.append(f"  br i1 {some}, label %pre{number}, label %end{number}")
            self._label(f"pre{number}")
        before = self._block
        axis, following = f"%i{number}", f"%j{number}"
        self.lines.append(f"  br label %loop{number}")
        self._label(f"loop{number}")
        self.lines.append(f"  {axis} = phi i64 [{start}, %{before}], [{following}, %last{number}]")
        self._axes[loop.axis] = axis
        self._body(loop.body)
        self.lines.append(f"  br label %last{number}")
        self._label(f"last{number}")
        self.lines.append(f"  {following} = add nuw nsw i64 {axis}, 1")
        more = self._emit(f"icmp slt i64 {following}, {end}")
        self.lines.append(f"  br i1 {more}, label %loop{number}, label %end{number}")
        self._label(f"end{number}")

    def _set(self, statement: Set) -> None:
        value = self._value(statement.value, sums=True)
        kind = _wide(type_of(statement.local.dtype), statement.local.lanes)
        self.lines.append(f"  store {kind} {value}, ptr {self._locals[statement.local]}")
        if self._lanes is None:
            self._scope[-1] = {}  # what was made of the local is out of date

    def _write(self, stores: list[tuple[Store, str, str]]) -> None:
        lanes = self._lanes.size if self._lanes else 1
        for store, value, guard in stores:
            kind = _wide(type_of(store.buffer.dtype), lanes)
            if kind == "i1":
                value, kind = self._emit(f"zext i1 {value} to i8"), "i8"
            pointer = self._pointer(store.buffer, store.index)
            align = store.buffer.dtype.itemsize
            number = self._next()
            if guard:
                self.lines.append(f"  br i1 {guard}, label %put{number}, label %past{number}")
                self._label(f"put{number}")
            self.lines.append(f"  store {kind} {value}, ptr {pointer}, align {align}")
            if guard:
                self.lines.append(f"  br label %past{number}")
                self._label(f"past{number}")
        if stores:
            self._scope[-1] = {}
            stores.clear()

    def _multiply(self, gemm: Gemm) -> None:
        split = self._kernel.split
        sizes = {axis: str(axis.size) for axis in (gemm.m, gemm.n, gemm.k)}
        number = self._next()
        self._scope.append({})  # places at the first row, which may not be reached
        guarded = False
        if split is not None and split in sizes:
            guarded = True
            sizes[split] = size = self._emit("sub nsw i64 %high, %low")
            self._axes[split] = "%low"
            some = self._emit(f"icmp sgt i64 {size}, 0")
            self.lines.append(f"  br i1 {some}, label %gemm{number}, label %done{number}")
            self._label(f"gemm{number}")
        if gemm.n.size > 1 and gemm.c.index.terms[gemm.n] != 1:  # its transpose lies row by row
            gemm = replace(gemm, m=gemm.n, n=gemm.m, a=gemm.b, b=gemm.a)
        a = self._matrix(gemm.a, gemm.m, gemm.k)
        b = self._matrix(gemm.b, gemm.k, gemm.n)
        c = self._matrix(gemm.c, gemm.m, gemm.n)
        m, n, k = (sizes[axis] for axis in (gemm.m, gemm.n, gemm.k))
        slot = PRODUCTS.index(gemm.c.buffer.dtype)
        place = self._emit(f"getelementptr ptr, ptr %table, i64 {slot}")
        function = self._emit(f"load ptr, ptr {place}")
        self.lines.append(
            f"  call void {function}(i64 {m}, i64 {n}, i64 {k}, {a}, {b}, {c}, "
            f"i1 {'true' if gemm.accumulate else 'false'})"
        )
        self._scope.pop()
        if guarded:
            self.lines.append(f"  br label %done{number}")
            self._label(f"done{number}")

    def _matrix(self, matrix: Matrix, rows: Axis, columns: Axis) -> str:
        """The pointer to the first element, and both strides."""
        terms = matrix.index.terms
        split = self._kernel.split
        rest = {a: f for a, f in terms.items() if a is split or a not in (rows, columns)}
        pointer = self._pointer(matrix.buffer, Index(matrix.index.constant, rest))
        row, column = (terms.get(axis, 0) if axis.size > 1 else 1 for axis in (rows, columns))
        return f"ptr {pointer}, i64 {row}, i64 {column}"

    def _value(self, x: Symbol, *, sums: bool) -> str:
        return self.symbol(x, sums=sums) if self._lanes is None else self._vector(x, self._lanes)

    def _vector(self, x: Symbol, lanes: Axis) -> str:
        """The register that holds a symbol for all lanes."""
        kind = type_of(x.dtype)
        wide = _wide(kind, lanes.size)
        found = self._known((x, lanes))
        if found is not None:
            return found
        if x.operation == "local":
            return self._emit(f"load {wide}, ptr {self._locals[x.value]}")
        if x.operation == "constant":
            return f"<{', '.join([f'{kind} {self.symbol(x)}'] * lanes.size)}>"
        if x.operation == "load" and x.index is not None and lanes in x.index.terms:
            if x.index.terms[lanes] != 1:
                raise Unsupported("lanes that do not lie together")
            pointer = self._pointer(x.value, x.index)
            found = self._emit(f"load {wide}, ptr {pointer}, align {x.dtype.itemsize}")
        elif x.operation in ("add", "subtract", "multiply"):
            inputs = [self._vector(y, lanes) for y in x.inputs]
            code = ARITHMETIC[x.operation][0]
            found = self._emit(f"{code} {FLAGS}{wide} {', '.join(inputs)}")
        elif x.operation == "load":
            first = self._emit(f"insertelement {wide} poison, {kind} {self.symbol(x)}, i32 0")
            mask = f"<{lanes.size} x i32> zeroinitializer"
            found = self._emit(f"shufflevector {wide} {first}, {wide} poison, {mask}")
        else:
            raise Unsupported(f"no lanes for {x.operation}")
        self._scope[-1][x, lanes] = found
        return found

    # ---- expressions ---------------------------------------------------------------------------

    def symbol(self, x: Symbol, *, sums: bool = False) -> str:
        """The register that holds a symbol, computed where it is not there yet."""
        found = self._known(x)
        if found is None:
            found = self._scope[-1][x] = self._symbol(x, sums)
        return found

    def _symbol(self, x: Symbol, sums: bool) -> str:
        if x.operation == "constant":
            return literal(x.value, x.dtype)
        if x.operation == "index":
            assert x.index is not None
            return self.index(x.index)
        kind = type_of(x.dtype)
        if x.operation == "local":
            return self._emit(f"load {kind}, ptr {self._locals[x.value]}")
        if x.operation == "load":
            assert x.index is not None
            pointer = self._pointer(x.value, x.index)
            if kind == "i1":
                return self._emit(f"trunc i8 {self._emit(f'load i8, ptr {pointer}')} to i1")
            return self._emit(f"load {kind}, ptr {pointer}")
        if x.operation == "ahead":
            assert x.index is not None
            self.declared["prefetch"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
            pointer = self._pointer(x.value, x.index)
            self.lines.append(f"  call void @llvm.prefetch.p0(ptr {pointer}, i32 1, i32 3, i32 1)")
            return "0"
        inputs = [self.symbol(y) for y in x.inputs]
        if x.operation == "cast":
            return self._cast(inputs[0], x.inputs[0].dtype, x.dtype)
        if x.operation == "where":
            return self._emit(f"select i1 {inputs[0]}, {kind} {inputs[1]}, {kind} {inputs[2]}")
        flags = SUM_FLAGS if sums else FLAGS if kind == "float" else ""
        return self._operation(x, inputs, flags)

    def _operation(self, x: Symbol, inputs: list[str], flags: str) -> str:
        name, taken = x.operation, x.inputs[0].dtype
        kind, operand = type_of(x.dtype), type_of(taken)
        group = 0 if taken.kind == "f" else 1 if taken.kind == "i" else 2
        if name in COMPARISONS:
            code = COMPARISONS[name][group]
            word = "fcmp" if group == 0 else "icmp"
            return self._emit(f"{word} {code} {operand} {', '.join(inputs)}")
        if name in ("logical_and", "logical_or", "logical_xor", "logical_not") and operand != "i1":
            raise Unsupported(f"no lowering for numpy.{name} of {taken}")
        if name in ARITHMETIC and (code := ARITHMETIC[name][group]):
            if operand == "i1" and name in ("add", "multiply"):
                code = "or" if name == "add" else "and"
            extra = flags if group == 0 else ""
            return self._emit(f"{code} {extra}{operand} {', '.join(inputs)}")
        if name == "negative":
            if group == 0:
                return self._emit(f"fneg {operand} {inputs[0]}")
            return self._emit(f"sub {operand} 0, {inputs[0]}")
        if name in ("invert", "logical_not"):
            return self._emit(f"xor {operand} {inputs[0]}, -1")
        if name in ("square", "reciprocal") and group == 0:
            if name == "square":
                return self._emit(f"fmul {flags}{kind} {inputs[0]}, {inputs[0]}")
            return self._emit(f"fdiv {kind} 1.0, {inputs[0]}")
        if name == "positive":
            return inputs[0]
        if name in ("isnan", "isfinite", "isinf"):
            return self._classify(name, operand, inputs[0])
        if name == "sign":
            return self._sign(operand, group, inputs[0])
        if name == "remainder" and operand != "i1":
            return self._remainder(operand, group, inputs)
        if group == 0 and kind == operand:
            return self._function(name, kind, inputs)
        if name in ("maximum", "minimum") and operand != "i1":
            code = ("s" if group == 1 else "u") + name[:3]
            return self._call(f"llvm.{code}.{operand}", kind, inputs)
        if name == "absolute" and group == 1:
            return self._emit(
                f"call {kind} @{self._declare(f'llvm.abs.{kind}', kind, [kind, 'i1'])}"
                f"({kind} {inputs[0]}, i1 false)"
            )
        raise Unsupported(f"no lowering for numpy.{name} of {taken}")

    def _function(self, name: str, kind: str, inputs: list[str]) -> str:
        if kind == "float" and name in mathlib.VECTORISED:
            return self._emit(f"call float @{mathlib.VECTORISED[name]}(float {inputs[0]})")
        suffix = "f32" if kind == "float" else "f64"
        if name in INTRINSICS and not (name == "power" and kind == "float"):
            return self._call(f"llvm.{INTRINSICS[name]}.{suffix}", kind, inputs)
        if name in mathlib.LIBRARY or name in ("power", "arctan2", "fmod"):
            c_name = {"power": "pow"}.get(name, mathlib.c_name(name))
            if kind == "double":
                return self._call(c_name, kind, inputs)
            wide = [self._emit(f"fpext float {x} to double") for x in inputs]
            return self._emit(f"fptrunc double {self._call(c_name, 'double', wide)} to float")
        raise Unsupported(f"no lowering for numpy.{name}")

    def _classify(self, name: str, kind: str, x: str) -> str:
        if name == "isnan":
            return self._emit(f"fcmp uno {kind} {x}, {x}")
        size = self._call(f"llvm.fabs.{'f32' if kind == 'float' else 'f64'}", kind, [x])
        code = "oeq" if name == "isinf" else "olt"
        return self._emit(f"fcmp {code} {kind} {size}, 0x7FF0000000000000")

    def _sign(self, kind: str, group: int, x: str) -> str:
        if group:
            high = self._emit(f"icmp {'sgt' if group == 1 else 'ugt'} {kind} {x}, 0")
            one = self._emit(f"zext i1 {high} to {kind}")
            if group == 2:
                return one
            low = self._emit(f"icmp slt {kind} {x}, 0")
            return self._emit(f"select i1 {low}, {kind} -1, {kind} {one}")
        high = self._emit(f"fcmp ogt {kind} {x}, 0.0")
        low = self._emit(f"fcmp olt {kind} {x}, 0.0")
        # x itself where it is zero or NaN
        rest = self._emit(f"select i1 {low}, {kind} -1.0, {kind} {x}")
        return self._emit(f"select i1 {high}, {kind} 1.0, {kind} {rest}")

    def _remainder(self, kind: str, group: int, inputs: list[str]) -> str:
        """The remainder with the divisor's sign; 0 for an integer divided by 0, as NumPy's."""
        a, b = inputs
        if group == 0:
            rest = self._function("fmod", kind, inputs)
            zero, minus = "fcmp oeq", "fcmp olt"
            moved = self._emit(f"fadd {kind} {rest}, {b}")
            suffix = "f32" if kind == "float" else "f64"
            plain = self._call(f"llvm.copysign.{suffix}", kind, ["0.0", b])
            nothing = "0.0"
        else:
            # Division by 0 and the least integer's by -1 would stop the process.
            signed = int(group == 1)
            low = self._emit(f"add {kind} {b}, {signed}")
            odd = self._emit(f"icmp ult {kind} {low}, {1 + signed}")
            safe = self._emit(f"select i1 {odd}, {kind} 1, {kind} {b}")
            rest = self._emit(f"{'srem' if signed else 'urem'} {kind} {a}, {safe}")
            if not signed:
                return rest
            zero, minus = "icmp eq", "icmp slt"
            moved = self._emit(f"add {kind} {rest}, {b}")
            plain = nothing = "0"
        none = self._emit(f"{zero} {kind} {rest}, {nothing}")
        one = self._emit(f"{minus} {kind} {rest}, {nothing}")
        other = self._emit(f"{minus} {kind} {b}, {nothing}")
        differ = self._emit(f"xor i1 {one}, {other}")
        turned = self._emit(f"select i1 {differ}, {kind} {moved}, {kind} {rest}")
        return self._emit(f"select i1 {none}, {kind} {plain}, {kind} {turned}")

    def _cast(self, x: str, source: DType, target: DType) -> str:
        a, b = type_of(source), type_of(target)
        if target.kind == "b":
            if source.kind == "f":
                return self._emit(f"fcmp une {a} {x}, 0.0")
            return self._emit(f"icmp ne {a} {x}, 0")
        if source.kind == "f" and target.kind == "f":
            word = "fpext" if target.itemsize > source.itemsize else "fptrunc"
        elif source.kind == "f":
            word = "fptosi" if target.kind == "i" else "fptoui"
        elif target.kind == "f":
            word = "sitofp" if source.kind == "i" else "uitofp"
        elif source.kind == "b" or source.itemsize < target.itemsize:
            word = "sext" if source.kind == "i" else "zext"
        elif source.itemsize == target.itemsize:
            return x
        else:
            word = "trunc"
        return self._emit(f"{word} {a} {x} to {b}")

    def index(self, index: Index) -> str:
        """The register that holds the value of an index."""
        total = str(index.constant) if index.constant or not index.terms else ""
        for atom, factor in index.terms.items():
            part = self._atom(atom)
            if factor != 1:
                part = self._emit(f"mul nsw i64 {part}, {factor}")
            total = self._emit(f"add nsw i64 {total}, {part}") if total else part
        return total

    def _atom(self, atom: Axis | Quotient | Remainder | Symbol) -> str:
        if isinstance(atom, Axis):
            return self._axes[atom]
        if isinstance(atom, Symbol):
            value = self.symbol(atom)
            return self._cast(value, atom.dtype, np.dtype("int64"))
        found = self._known(atom)
        if found is None:
            word = "udiv" if isinstance(atom, Quotient) else "urem"
            found = self._emit(f"{word} i64 {self.index(atom.index)}, {atom.divisor}")
            self._scope[-1][atom] = found
        return found

    def _known(self, key: Any) -> str | None:
        for scope in reversed(self._scope):
            if key in scope:
                return str(scope[key])
        return None

    # ---- text ----------------------------------------------------------------------------------

    def _pointer(self, buffer: Buffer, index: Index) -> str:
        base = self._pointers[buffer]
        if not index.terms and not index.constant:
            return base
        kind = type_of(buffer.dtype)
        kind = "i8" if kind == "i1" else kind
        if index.constant > 0 and all(
            isinstance(atom, Axis) and factor > 0 for atom, factor in index.terms.items()
        ):
            # Neighbours begin at the same place, which is computed once.
            start = Index(0, index.terms)
            found = self._known((buffer, start)) if index.terms else base
            if found is None:
                found = self._scope[-1][buffer, start] = self._pointer(buffer, start)
            return self._emit(f"getelementptr inbounds {kind}, ptr {found}, i64 {index.constant}")
        return self._emit(f"getelementptr inbounds {kind}, ptr {base}, i64 {self.index(index)}")

    def _call(self, function: str, kind: str, inputs: list[str]) -> str:
        self._declare(function, kind, [kind] * len(inputs))
        arguments = ", ".join(f"{kind} {x}" for x in inputs)
        return self._emit(f"call {kind} @{function}({arguments})")

    def _declare(self, function: str, kind: str, taken: list[str]) -> str:
        pure = "" if function.startswith("llvm.") else " nounwind willreturn memory(none)"
        self.declared[function] = f"declare {kind} @{function}({', '.join(taken)}){pure}"
        return function

    def _emit(self, text: str) -> str:
        name = f"%v{self._next()}"
        self.lines.append(f"  {name} = {text}")
        return name

    def _label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self._block = name

    def _next(self) -> int:
        self._count += 1
        return self._count


def _wide(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


def vector_bytes() -> int:
    """How many bytes a vector of this machine has."""
    _, features = _host()
    names = features.split(",")
    return 64 if "+avx512f" in names else 32 if "+avx2" in names else 16


def many_registers() -> bool:
    """Whether there are 32 vectors in registers, rather than 16."""
    return vector_bytes() == 64 or "+neon" in _host()[1].split(",")


def lanes_of(dtype: DType) -> int:
    """How many numbers a vector of this machine has."""
    return vector_bytes() // dtype.itemsize


def _adds(store: Store) -> bool:
    """Whether a store adds to what is there: the columns of a sum."""
    x = store.value
    return (
        x.operation == "add"
        and x.inputs[0].operation == "load"
        and x.inputs[0].value is store.buffer
    )


def check(x: Symbol) -> None:
    """Try whether a symbol can be printed.

    Raises:
        Unsupported: It cannot.
    """
    axes = {
        atom
        for part in parts(x)
        if part.index is not None
        for atom in atoms(part.index)
        if isinstance(atom, Axis)
    }
    place = Buffer("", x.dtype, (1,), (1,))
    body = loops([*axes], [Store(place, ZERO, x)])
    Printer().kernel(make_kernel([], body, None), {})


def literal(value: Any, dtype: DType) -> str:
    """A number as LLVM writes it."""
    if dtype.kind == "f":
        return mathlib.float32(value) if dtype.itemsize == 4 else mathlib.float64(value)
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(value))

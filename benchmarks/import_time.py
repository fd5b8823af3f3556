"""How long `import matrixslow` takes, and how much of it is NumPy."""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 7


def milliseconds(module: str) -> float:
    """The time that one fresh process spends importing a module."""
    program = (
        "import time; start = time.perf_counter(); "
        f"import {module}; print((time.perf_counter() - start) * 1e3)"
    )
    result = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    return float(result.stdout)


def main() -> None:
    """Print the median for matrixslow beside NumPy's, each measured in turn."""
    modules = ("numpy", "matrixslow")
    times: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(ROUNDS):
        for module in modules:
            times[module].append(milliseconds(module))
    for module in modules:
        print(f"import {module:<11} {statistics.median(times[module]):6.0f} ms")


if __name__ == "__main__":
    main()

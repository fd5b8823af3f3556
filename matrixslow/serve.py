"""The door to the parameter server: python -m matrixslow.serve."""

from __future__ import annotations

from matrixslow.dist.serve import main

if __name__ == "__main__":
    raise SystemExit(main())

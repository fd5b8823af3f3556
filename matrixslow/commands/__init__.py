"""The commands of `python -m matrixslow`, one a file; table.py lists them."""

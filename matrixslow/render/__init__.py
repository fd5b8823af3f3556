"""Graphs as pictures, text and networks; histories, results and weights as charts."""

from matrixslow.render.curves import line_chart
from matrixslow.render.draw import draw
from matrixslow.render.images import image_grid
from matrixslow.render.matrix import confusion_matrix
from matrixslow.render.network import to_networkx
from matrixslow.render.roc import roc_curves
from matrixslow.render.scatter import scatter
from matrixslow.render.text import dump, summary

__all__ = [
    "confusion_matrix",
    "draw",
    "dump",
    "image_grid",
    "line_chart",
    "roc_curves",
    "scatter",
    "summary",
    "to_networkx",
]

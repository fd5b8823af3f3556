"""Graphs as pictures, text and networks; histories as curves."""

from matrixslow.render.curves import line_chart
from matrixslow.render.draw import draw
from matrixslow.render.network import to_networkx
from matrixslow.render.text import dump, summary

__all__ = ["draw", "dump", "line_chart", "summary", "to_networkx"]

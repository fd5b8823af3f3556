"""The table of the commands, in the order in which a newcomer needs them."""

from __future__ import annotations

from matrixslow.commands.check import CHECK
from matrixslow.commands.demo import DEMO
from matrixslow.commands.draw import DRAW
from matrixslow.commands.evaluate import EVALUATE
from matrixslow.commands.launch import LAUNCH
from matrixslow.commands.predict import PREDICT
from matrixslow.commands.summary import SUMMARY
from matrixslow.commands.top import TOP
from matrixslow.commands.train import TRAIN

COMMANDS = (DEMO, TRAIN, EVALUATE, PREDICT, SUMMARY, DRAW, CHECK, LAUNCH, TOP)

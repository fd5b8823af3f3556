"""Lesson 14. Recurrent networks: one step after another.

A sequence x[1], x[2], ... is read step by step. What was read so far is kept in a state h, and the
same weights serve all steps:

    h[t] = tanh(W x[t] + R h[t-1] + b)

For the slopes, the loop is unrolled: a graph with a copy of the step for every t. R takes part in
every copy, so its slope is the sum over all copies. That is called backpropagation through time.

Sequences of unequal length are laid side by side with zeros behind the shorter ones. Reading on
through the zeros would change the state, so the layer is told the lengths, and stops in time.
"""

import numpy as np
from course import begin

import matrixslow as ms
from matrixslow.render import line_chart

lesson = begin(__doc__)
rng = np.random.default_rng(0)

lesson.part("1. Three steps by hand, and by the layer")
with ms.Graph(seed=0) as graph:
    x = ms.Input((None, None, 2), name="x")
    lengths = ms.Input((None,), dtype="int64", name="lengths")
    state = ms.layers.rnn(x, 3, lengths=lengths, name="rnn")
(W,), (R,), (b,) = (graph[f"rnn/{name}"].value for name in "WRb")
bias = b[:3] + b[3:]  # ONNX keeps one for W and one for R
sequence = rng.normal(size=(3, 2)).astype(np.float32)
h = np.zeros(3, np.float32)
for t, step in enumerate(sequence, start=1):
    h = np.tanh(W @ step + R @ h + bias)
    print(f"h[{t}] = {h}")
by_layer = graph.forward(state, {x: sequence[None], lengths: [3]})[0]
print(f"layer  {by_layer}")

lesson.part("2. Unrolled: the slope of R is a sum over the steps")
with ms.Graph() as unrolled:
    r = ms.Variable(R, name="R")
    copies = [r * 1.0 for _ in sequence]  # a copy of R for each step, to look at its slope alone
    h = ms.Constant(np.zeros((3, 1)), name="h0")
    for t, (step, copy) in enumerate(zip(sequence, copies, strict=True), start=1):
        drive = ms.Constant((W @ step + bias)[:, None], name=f"W x{t} + b")
        h = ms.ops.Tanh(copy @ h + drive, name=f"h{t}")
    loss = ms.ops.ReduceSum(h, keepdims=False, name="loss")
    slopes = ms.gradients(loss, [*copies, r])
    *each, whole = unrolled.forward(slopes)
for t, slope in enumerate(each, start=1):
    print(f"step {t}: first row of the slope {slope[0]}")
print(f"their sum                      {sum(each)[0]}")
with graph:
    (slope_of_layer,) = ms.gradients(ms.ops.ReduceSum(state, keepdims=False), [graph["rnn/R"]])
by_operator = graph.forward(slope_of_layer, {x: sequence[None], lengths: [3]})[0]
print(f"by the layer's own rule        {by_operator[0]}")
unrolled.draw(lesson.picture("14_unrolled.svg"))

lesson.part("3. Unequal lengths: what lies behind the end is not read")
short, padded = sequence[:2], np.concatenate([sequence[:2], np.zeros((3, 2))])
alone = graph.forward(state, {x: short[None], lengths: [2]})[0]
told = graph.forward(state, {x: padded[None], lengths: [2]})[0]
read_on = graph.forward(state, {x: padded[None], lengths: [5]})[0]
print(f"two steps alone               {alone}")
print(f"padded, length 2 is told      {told}")
print(f"padded, zeros read as steps   {read_on}")

lesson.part("4. Where did the walk end?")
print("A walk of 5 to 60 steps, with noise on every number: did it end above 0 or below? Who stops")
print("at the end has just seen it. Who reads on through the zeros must keep it in mind.\n")
samples, longest = 1000, 60
ends = rng.integers(5, longest, samples, endpoint=True)
walks = rng.normal(size=(samples, longest)).cumsum(axis=1) / 4
walks += rng.normal(0, 0.2, walks.shape)
labels = (walks[np.arange(samples), ends - 1] > 0).astype(np.int64)
walks[np.arange(longest) >= ends[:, None]] = 0
walks = walks[:, :, None].astype(np.float32)
train_x, test_x, train_l, test_l, train_y, test_y = ms.io.train_test_split(walks, ends, labels)


def fit(*, tell_lengths: bool) -> tuple[ms.trainer.History, float]:
    with ms.Graph(seed=0):
        walk = ms.Input((None, longest, 1), name="walk")
        steps = ms.Input((None,), dtype="int64", name="steps")
        label = ms.Input((None,), dtype="int64", name="label")
        state = ms.layers.rnn(walk, 16, lengths=steps if tell_lengths else None)
        scores = ms.layers.dense(state, 2)
        loss = ms.ops.SoftmaxCrossEntropy(scores, label, name="loss")
    accuracy = ms.metrics.Accuracy(scores, label)
    trainer = ms.trainer.Trainer(loss, ms.optimizers.Adam(5e-3), metrics=[accuracy])
    train, test = {walk: train_x, label: train_y}, {walk: test_x, label: test_y}
    if tell_lengths:
        train[steps], test[steps] = train_l, test_l
    history = trainer.fit(train, epochs=20, batch_size=40, progress=False)
    return history, trainer.evaluate(test)["accuracy"]


told_history, told_accuracy = fit(tell_lengths=True)
padded_history, padded_accuracy = fit(tell_lengths=False)
print(f"told the lengths       {told_accuracy:.1%} of the test walks")
print(f"reads all the zeros    {padded_accuracy:.1%}")
line_chart(
    {"told the lengths": told_history["loss"], "reads all the zeros": padded_history["loss"]},
    lesson.picture("14_lengths.svg"),
    title="Where did the walk end? Sequences of 5 to 60 steps",
    x_label="epoch",
    y_label="loss",
    log=True,
)

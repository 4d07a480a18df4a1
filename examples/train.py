#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train a small neural network, with nothing but Python's standard library.

A real training loop to meter: a perceptron with one hidden layer learns to tell
two interleaved spirals apart by mini-batch gradient descent. It takes some ten
seconds on one core. Being plain Python it is a hundred times slower than NumPy
would be, so its energy says nothing about training in general: what it shows is
a job with a beginning, an end and a loss that falls.

    aimeter run -- python3 examples/train.py
"""

import argparse
import math
import random


def spirals(count, noise, rng):
    """`count` points of two spirals: a list of ((x, y), label), label 0 or 1."""
    points = []
    for index in range(count):
        label = index % 2
        turn = rng.random()
        angle = 1.5 * math.pi * turn + math.pi * label
        radius = 0.1 + turn
        x = radius * math.cos(angle) + rng.gauss(0, noise)
        y = radius * math.sin(angle) + rng.gauss(0, noise)
        points.append(((x, y), label))
    return points


class Network:
    """Two inputs, `width` hidden units with tanh, one output with a sigmoid."""

    def __init__(self, width, rng):
        self.hidden = [[rng.gauss(0, 2), rng.gauss(0, 2), rng.gauss(0, 1)] for _ in range(width)]
        self.output = [rng.gauss(0, 1 / math.sqrt(width)) for _ in range(width)]
        self.bias = 0.0

    def forward(self, x, y):
        """The activations of the hidden layer and the probability of label 1."""
        active = [math.tanh(a * x + b * y + c) for a, b, c in self.hidden]
        score = self.bias + sum(w * h for w, h in zip(self.output, active))
        score = max(-30.0, min(30.0, score))  # exp() must not overflow
        return active, 1 / (1 + math.exp(-score))

    def step(self, batch, rate):
        """One step of gradient descent on a batch; its mean cross-entropy before it."""
        width = len(self.output)
        hidden = [[0.0, 0.0, 0.0] for _ in range(width)]
        output = [0.0] * width
        bias = loss = 0.0
        for (x, y), label in batch:
            active, probability = self.forward(x, y)
            loss -= math.log(max(probability if label else 1 - probability, 1e-12))
            error = probability - label  # of cross-entropy through the sigmoid
            bias += error
            for unit in range(width):
                output[unit] += error * active[unit]
                back = error * self.output[unit] * (1 - active[unit] ** 2)
                gradient = hidden[unit]
                gradient[0] += back * x
                gradient[1] += back * y
                gradient[2] += back
        scale = rate / len(batch)
        self.bias -= scale * bias
        for unit in range(width):
            self.output[unit] -= scale * output[unit]
            for weight in range(3):
                self.hidden[unit][weight] -= scale * hidden[unit][weight]
        return loss / len(batch)


def accuracy(network, points):
    """The part of the points that are told right, 0 to 1."""
    right = sum((network.forward(*point)[1] > 0.5) == bool(label) for point, label in points)
    return right / len(points)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--points", type=int, default=3000)
    parser.add_argument("--width", type=int, default=24, help="units of the hidden layer")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    rng = random.Random(options.seed)
    train = spirals(options.points, 0.1, rng)
    test = spirals(max(options.points // 4, 1), 0.1, rng)
    network = Network(options.width, rng)
    for epoch in range(1, options.epochs + 1):
        rng.shuffle(train)
        batches = [train[start : start + 50] for start in range(0, len(train), 50)]
        loss = sum(network.step(batch, rate=0.5) for batch in batches) / len(batches)
        if epoch == 1 or epoch % 30 == 0 or epoch == options.epochs:
            print(f"epoch {epoch:4d}  loss {loss:.4f}", flush=True)
    print(f"accuracy on points not seen in training: {accuracy(network, test):.1%}")


if __name__ == "__main__":
    main()

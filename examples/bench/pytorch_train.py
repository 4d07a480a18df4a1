#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train a small convolutional network with PyTorch, on a GPU where there is one.

The images are made here, by a seed: ten patterns under noise. Nothing is downloaded. Each
batch is counted for aimeter as `samples` (../aimeter.py).

    PYTHONPATH=examples aimeter run -- python3 examples/bench/pytorch_train.py
"""

import argparse
import sys

import aimeter

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch, or Debian's python3-torch")

CLASSES = 10


def batch(patterns, size, generator):
    """Images of 3 by 32 by 32 numbers, and their classes."""
    labels = torch.randint(CLASSES, (size,), generator=generator)
    noise = torch.randn(size, 3, 32, 32, generator=generator)
    return patterns[labels] + 2 * noise, labels


def network():
    def block(before, after):
        return [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    layers = block(3, 32) + block(32, 64) + block(64, 128)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, CLASSES))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()

    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    patterns = torch.randn(CLASSES, 3, 32, 32, generator=generator)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = network().to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for step in range(1, options.steps + 1):
        images, labels = batch(patterns, options.batch, generator)
        loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        aimeter.count("samples", options.batch)
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    model.eval()
    with torch.no_grad():
        images, labels = batch(patterns, 1000, generator)
        right = (model(images.to(device)).argmax(1).cpu() == labels).float().mean().item()
    print(f"accuracy {right:.4f} on images not seen in training")


if __name__ == "__main__":
    main()

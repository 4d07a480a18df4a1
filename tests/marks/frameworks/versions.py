# SPDX-License-Identifier: Apache-2.0
"""Which versions are tried."""

import sys

import accelerate
import lightning
import torch
import transformers

print("Python", sys.version.split()[0])
for module in (torch, transformers, accelerate, lightning):
    print(module.__name__, module.__version__)

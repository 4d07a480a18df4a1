# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's Trainer: 2 epochs of 8 steps, each evaluated and saved at its end."""

import tiny

tiny.train(
    batch=8,
    accumulation=1,
    num_train_epochs=2,
    eval_strategy="epoch",
    save_strategy="epoch",
)

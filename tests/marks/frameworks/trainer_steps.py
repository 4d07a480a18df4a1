# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's Trainer: 12 steps, evaluated every 4, saved every 6, so once both."""

import tiny

tiny.train(
    batch=4,
    accumulation=2,
    max_steps=12,
    eval_strategy="steps",
    eval_steps=4,
    save_strategy="steps",
    save_steps=6,
)

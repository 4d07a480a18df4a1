# SPDX-License-Identifier: Apache-2.0
"""A GPT-2 of two layers that was never trained, and texts of numbers for it."""

import json

import aimeter
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

LENGTH = 32


class Texts(torch.utils.data.Dataset):
    def __init__(self, count):
        self.texts = torch.randint(0, 128, (count, LENGTH), generator=torch.manual_seed(count))

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, place):
        return {"input_ids": self.texts[place], "labels": self.texts[place]}


class Counter(TrainerCallback):
    """What the Trainer itself says that it did."""

    def __init__(self):
        self.times = {"eval": 0, "checkpoint": 0}
        self.seconds = {"eval": 0.0}

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        self.times["eval"] += 1
        self.seconds["eval"] += metrics["eval_runtime"]

    def on_save(self, args, state, control, **kwargs):
        self.times["checkpoint"] += 1


def train(batch, accumulation, **arguments):
    """Trains on 64 texts, with an evaluation on 16."""
    config = GPT2Config(
        vocab_size=128,
        n_positions=LENGTH,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=None,
        eos_token_id=None,
    )
    arguments = TrainingArguments(
        output_dir="checkpoints",
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **arguments,
    )
    callback = aimeter.trainer_callback(tokens_per_step=batch * accumulation * LENGTH)
    trainer = Trainer(
        model=GPT2LMHeadModel(config),
        args=arguments,
        train_dataset=Texts(64),
        eval_dataset=Texts(16),
        callbacks=[callback, counter := Counter()],
    )
    trainer.train()
    with open("done.json", "w") as file:
        json.dump({"times": counter.times, "seconds": counter.seconds}, file)

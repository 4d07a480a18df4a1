#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train a tiny language model with Hugging Face's Trainer.

The model is made from a configuration and the text is made here, by a seed: counting up in
steps. Nothing is downloaded. Steps, samples and tokens are counted by the callback of
../aimeter.py.

    PYTHONPATH=examples aimeter run -- python3 examples/bench/hugging_face_train.py
"""

import argparse
import random
import sys
import tempfile

import aimeter

try:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
except ImportError:
    sys.exit("this example needs transformers: pip install 'transformers[torch]'")

VOCABULARY = 256
LENGTH = 32


def sequence(generator):
    """Numbers that go up by the same step, as a sample of the Trainer."""
    first, step = generator.randrange(VOCABULARY), generator.randrange(1, 16)
    tokens = torch.tensor([(first + place * step) % VOCABULARY for place in range(LENGTH)])
    return {"input_ids": tokens, "labels": tokens}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()

    torch.manual_seed(1)
    generator = random.Random(1)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=LENGTH,
            n_embd=96,
            n_layer=2,
            n_head=4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=options.steps,
                per_device_train_batch_size=options.batch,
                learning_rate=1e-3,
                logging_steps=20,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=1,
            ),
            train_dataset=[sequence(generator) for _ in range(2048)],
            callbacks=[aimeter.trainer_callback(tokens_per_step=options.batch * LENGTH)],
        )
        trainer.train()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generate text with a causal language model of transformers, and tell the tokens.

The model has random weights, made from a configuration: nothing is downloaded. What it
writes is nonsense, but each token costs what it costs with trained weights of that size.
For a model of your own give its name or folder by --model.

    aimeter run -- python3 examples/bench/llm_generate.py
"""

import argparse
import sys

try:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
except ImportError:
    sys.exit("this example needs transformers: pip install 'transformers[torch]'")


def load(name):
    """The model of that name, else one of 7 million random weights."""
    if name:
        return AutoModelForCausalLM.from_pretrained(name)
    torch.manual_seed(1)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8000,
            hidden_size=256,
            intermediate_size=688,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=512,
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="name or folder [default: random weights]")
    parser.add_argument("--requests", type=int, default=8, help="batches of prompts")
    parser.add_argument("--batch", type=int, default=8, help="prompts of a batch")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=32, help="tokens to write for each prompt")
    options = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(options.model).to(device).eval()
    generator = torch.Generator().manual_seed(2)
    shape = (options.batch, options.prompt)
    for _ in range(options.requests):
        prompts = torch.randint(3, model.config.vocab_size, shape, generator=generator).to(device)
        with torch.no_grad():
            written = model.generate(
                input_ids=prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=False,
                # As many whatever it writes, so that runs are equal.
                min_new_tokens=options.new,
                max_new_tokens=options.new,
                pad_token_id=0,
            )
        count = (written.shape[1] - options.prompt) * options.batch
        print(f"generated {count} tokens", flush=True)


if __name__ == "__main__":
    main()

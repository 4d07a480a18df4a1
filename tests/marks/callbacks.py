# SPDX-License-Identifier: Apache-2.0
"""The callbacks, in the order of calls of transformers' and Lightning's trainers."""

import sys
import types
from types import SimpleNamespace as Some

import aimeter

said = []
aimeter.mark = lambda name: said.append(name)
aimeter.end = lambda: said.append(None)
aimeter.count = lambda name, number=1: said.append((name, number))


def module(name, **what):
    sys.modules[name] = made = types.ModuleType(name)
    made.__dict__.update(what)


class TrainerCallback:
    """As transformers', whose methods do nothing."""


module("transformers", TrainerCallback=TrainerCallback)
callback = aimeter.trainer_callback(tokens_per_step=4096)
assert isinstance(callback, TrainerCallback)
args = Some(train_batch_size=8, gradient_accumulation_steps=2, world_size=4)
state = Some(is_world_process_zero=True)


def step(evaluate=False, save=False):
    control = Some(should_evaluate=evaluate, should_save=save)
    callback.on_step_end(args, state, control)
    if evaluate:
        callback.on_evaluate(args, state, control, metrics={})
    if save:
        callback.on_save(args, state, control)


callback.on_train_begin(args, state, Some())
step()
work = [("steps", 1), ("samples", 64), ("tokens", 4096)]
assert said == ["train"] + work, said
del said[:]
step(evaluate=True)
assert said == work + ["eval", "train"], said
del said[:]
step(evaluate=True, save=True)
assert said == work + ["eval", "checkpoint", "train"], said
del said[:]
step(save=True)
assert said == work + ["checkpoint", "train"], said
del said[:]
callback.on_train_end(args, state, Some())
assert said == [None], said
del said[:]
state.is_world_process_zero = False
callback.on_train_begin(args, state, Some())
step(evaluate=True, save=True)
callback.on_train_end(args, state, Some())
assert said == [], said


class Callback:
    """As Lightning's, whose methods do nothing."""


for parent, name in [("lightning", "lightning.pytorch"), (None, "pytorch_lightning")]:
    if parent:
        module(parent)
    module(name, Callback=Callback)
    callback = aimeter.lightning_callback(size=len)
    assert isinstance(callback, Callback)
    trainer = Some(is_global_zero=True, world_size=2)
    callback.on_train_start(trainer, None)
    callback.on_train_batch_start(trainer, None, [1, 2, 3], 0)
    callback.on_train_batch_end(trainer, None, None, [1, 2, 3], 0)
    assert said == ["train", ("steps", 1), ("samples", 6)], said
    del said[:]
    callback.on_validation_start(trainer, None)
    callback.on_validation_end(trainer, None)
    callback.on_save_checkpoint(trainer, None, {})
    callback.on_train_batch_start(trainer, None, [1], 1)
    callback.on_train_end(trainer, None)
    assert said == ["eval", "train", "checkpoint", "train", None], said
    del said[:]
    callback.on_test_start(trainer, None)
    callback.on_test_end(trainer, None)
    assert said == ["test", None], said
    del said[:]
    for loaded in (parent, name):
        if loaded:
            sys.modules[loaded] = None

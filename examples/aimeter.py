# SPDX-License-Identifier: Apache-2.0
"""Tell aimeter what a training job is doing: phases, and units of work.

Copy this file beside your script; it needs Python 3.8 and nothing else.

    import aimeter

    for batches in epochs:
        with aimeter.phase("epoch"):
            for batch in batches:
                train(batch)
                aimeter.count("tokens", batch.tokens)
        with aimeter.phase("eval"):
            evaluate()

Run by `aimeter run -- python3 train.py`, the job's record then has the energy of each
phase and for each token. Run without aimeter, all of it does nothing.

No call here waits or raises for aimeter's sake, whatever becomes of it: what cannot be
sent at once is kept (counts as their sum, of phases the latest) and sent later. Threads,
signal handlers and forked processes may use it; a forked process has a connection of its
own. Names are [A-Za-z_][A-Za-z0-9_.:-]{0,63}; a wrong name or count raises ValueError.

For Hugging Face: `Trainer(..., callbacks=[aimeter.trainer_callback()])`.
For Lightning: `Trainer(..., callbacks=[aimeter.lightning_callback()])`.
"""

import atexit
import collections
import contextlib
import json
import math
import os
import re
import socket
import threading
import time

__all__ = ["mark", "end", "count", "phase", "flush", "trainer_callback", "lightning_callback"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}\Z")
# Counts are sent at most this often.
_PERIOD = 0.1
# After a failure nothing is tried for so long.
_PAUSE = 1.0
# How long the end of the process waits until its last marks are taken.
_LAST_WAIT = 0.2
# Units that are kept while they cannot be sent.
_MOST_UNITS = 64
# The largest count of one mark, and of what is kept.
_MOST_COUNT = 1e12
# Bytes that one call hands over at most.
_MOST_BYTES = 64 * 1024


class _Sender:
    """The connection of one process, and what waits to be sent."""

    def __init__(self):
        self.lock = threading.Lock()
        self.pid = os.getpid()
        self.job = os.environ.get("AIMETER_JOB_ID")
        self.path = os.environ.get("AIMETER_MARK_SOCKET")
        self.connection = None
        self.told = collections.deque()  # what nobody has taken up yet
        self.unsent = b""  # the rest of a line that went out in part
        self.counts = {}
        self.change = None  # the phase that is still to be told
        self.next_send = 0.0

    @property
    def active(self):
        return bool(self.job and self.path and hasattr(socket, "AF_UNIX"))

    def tell(self, what, number):
        """Takes a change of phase or a count, and never waits: whoever holds the lock,
        another thread or what a signal handler has interrupted, takes it up."""
        self.told.append((what, number))
        while self.told and self.lock.acquire(blocking=False):
            try:
                self.take()
            finally:
                self.lock.release()

    def take(self):
        """Takes up what was told, in its order, and sends it as far as that goes."""
        while self.told:
            what, number = self.told.popleft()
            if number is None:
                # What was counted belongs to the phase before.
                self.send()
                self.change = what
                self.send()
                continue
            if what not in self.counts and len(self.counts) >= _MOST_UNITS:
                what = "other"
            self.counts[what] = min(self.counts.get(what, 0) + number, _MOST_COUNT)
        if time.monotonic() >= self.next_send:
            self.send()

    def send(self):
        """Hands over what waits, as far as that goes at once."""
        now = time.monotonic()
        if self.connection is None and now < self.next_send:
            return
        try:
            if self.connection is None:
                self.connect()
            if self.change is not None:
                self.write(self.change)
                self.change = None
            sent = 0
            while self.counts and sent < _MOST_BYTES:
                unit, number = next(iter(self.counts.items()))
                sent += self.write({"unit": unit, "add": number})
                del self.counts[unit]
            self.next_send = now + _PERIOD
        except (BlockingIOError, InterruptedError):
            # It is busy; a job does not wait for it.
            self.next_send = now + _PERIOD
        except OSError:
            self.close()
            self.next_send = now + _PAUSE

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        self.connection, self.unsent = connection, b""

    def write(self, what, answer=False):
        """One line; raises where not even a part of it can go."""
        mark = {"job": self.job, "answer": answer}
        mark.update(what)
        line = json.dumps({"mark": mark}).encode() + b"\n"
        self.write_unsent()
        try:
            sent = self.connection.send(line)
        except (BrokenPipeError, ConnectionResetError):
            # The other end closes a connection that was idle: once more.
            self.close()
            self.connect()
            sent = self.connection.send(line)
        self.unsent = line[sent:]
        return len(line)

    def write_unsent(self):
        if self.unsent:
            sent = self.connection.send(self.unsent)
            self.unsent = self.unsent[sent:]
            if self.unsent:
                raise BlockingIOError

    def flush(self, wait):
        """Sends what is left and waits, not for long, until it has been taken."""
        if not self.lock.acquire(timeout=wait):
            return
        try:
            self.take()
            self.next_send = 0.0
            waits = self.connection is not None or self.counts or self.change
            if not waits:
                return
            try:
                if self.connection is None:
                    self.connect()
                self.connection.settimeout(wait)
                self.send()
                if self.connection is None:
                    return
                # A count of nothing, whose answer says that all before it is in.
                self.connection.settimeout(wait)
                self.write({"unit": "other", "add": 0}, answer=True)
                self.connection.recv(4096)
                self.connection.setblocking(False)
            except OSError:
                self.close()
        finally:
            self.lock.release()

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection, self.unsent = None, b""


_sender = _Sender()


def _own():
    """This process's sender: a forked process must not write into its parent's."""
    global _sender
    if _sender.pid != os.getpid():
        inherited, _sender = _sender, _Sender()
        if inherited.connection is not None:
            inherited.connection.close()
    return _sender


def _checked(name):
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"{name!r} is no name of a phase or a unit")
    return name


def mark(name):
    """Begin a phase; the phase before ends."""
    name = _checked(name)
    _change({"phase": name})


def end():
    """End the phase."""
    _change({"end": True})


def _change(what):
    sender = _own()
    if sender.active:
        what["at"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        sender.tell(what, None)


def count(name, number=1):
    """Count units of work: tokens, samples, steps. At most three decimals are kept."""
    name = _checked(name)
    number = number if isinstance(number, int) else float(number)
    if not (math.isfinite(number) and 0 <= number <= _MOST_COUNT):
        raise ValueError(f"{number!r} is no count of {name}")
    sender = _own()
    if sender.active and number:
        sender.tell(name, number)


@contextlib.contextmanager
def phase(name):
    """A phase as long as its block; the phase around it goes on after it."""
    stack = _phases()
    mark(name)
    stack.append(name)
    try:
        yield
    finally:
        stack.pop()
        if stack:
            mark(stack[-1])
        else:
            end()


_local = threading.local()


def _phases():
    """The phases whose blocks this thread is in."""
    if not hasattr(_local, "phases"):
        _local.phases = []
    return _local.phases


@atexit.register
def flush():
    """Hand over what is left. Done at the end of the process too."""
    sender = _own()
    if sender.active:
        sender.flush(_LAST_WAIT)


def trainer_callback(tokens_per_step=None):
    """A callback for Hugging Face's Trainer: the phases `train`, `eval` and `checkpoint`,
    the unit `steps`, and `samples` as the Trainer's own arguments have them. Only the
    main process of several counts.

    `tokens_per_step`: tokens of one optimiser step of all processes, where they are
    always the same; counted as `tokens`.
    """
    from transformers import TrainerCallback

    class AimeterCallback(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            if state.is_world_process_zero:
                mark("train")

        def on_step_end(self, args, state, control, **kwargs):
            if not state.is_world_process_zero:
                return
            count("steps")
            count("samples", args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
            if tokens_per_step:
                count("tokens", tokens_per_step)
            # The Trainer tells of an evaluation and a checkpoint only when they are done.
            if control.should_evaluate:
                mark("eval")
            elif control.should_save:
                mark("checkpoint")

        def on_evaluate(self, args, state, control, **kwargs):
            if state.is_world_process_zero:
                mark("checkpoint" if control.should_save else "train")

        def on_save(self, args, state, control, **kwargs):
            if state.is_world_process_zero:
                mark("train")

        def on_epoch_end(self, args, state, control, **kwargs):
            if not state.is_world_process_zero:
                return
            if control.should_evaluate:
                mark("eval")
            elif control.should_save:
                mark("checkpoint")

        def on_train_end(self, args, state, control, **kwargs):
            if state.is_world_process_zero:
                end()

    return AimeterCallback()


def lightning_callback(unit="samples", size=None):
    """A callback for Lightning's Trainer: the phases `train`, `eval`, `test` and
    `checkpoint`, the unit `steps` (batches), and one more where its size is known.
    Only the main process of several counts.

    `size`: a function that gives the number of units of a batch, such as
    `lambda batch: len(batch[0])`; counted as `unit`, times the number of processes.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError:
        from pytorch_lightning import Callback

    class AimeterCallback(Callback):
        # `trainer.training` is false within an evaluation in the middle of a training.
        _training = _saving = False

        def on_train_start(self, trainer, pl_module):
            self._training = True
            if trainer.is_global_zero:
                mark("train")

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.is_global_zero:
                count("steps")
                if size is not None:
                    count(unit, size(batch) * getattr(trainer, "world_size", 1))

        def on_validation_start(self, trainer, pl_module):
            if trainer.is_global_zero:
                mark("eval")

        def on_validation_end(self, trainer, pl_module):
            self._back(trainer)

        def on_test_start(self, trainer, pl_module):
            if trainer.is_global_zero:
                mark("test")

        def on_test_end(self, trainer, pl_module):
            self._back(trainer)

        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            # Told before it is written; the next batch ends it.
            if trainer.is_global_zero and self._training:
                mark("checkpoint")
                self._saving = True

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if self._saving:
                self._saving = False
                self._back(trainer)

        def on_train_end(self, trainer, pl_module):
            self._training = self._saving = False
            if trainer.is_global_zero:
                end()

        def _back(self, trainer):
            if trainer.is_global_zero:
                if self._training:
                    mark("train")
                else:
                    end()

    return AimeterCallback()

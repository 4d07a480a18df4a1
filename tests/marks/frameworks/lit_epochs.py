# SPDX-License-Identifier: Apache-2.0
"""Lightning's Trainer: 3 epochs of 8 batches, each evaluated and saved; then a test."""

import json
import time

import aimeter
import lightning
import torch

LOADER = torch.utils.data.DataLoader(torch.randn(64, 32), batch_size=8)


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(32, 32)

    def loss(self, batch):
        return (self.layer(batch) - batch).square().mean()

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def validation_step(self, batch, batch_idx):
        self.loss(batch)

    def test_step(self, batch, batch_idx):
        self.loss(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Counter(lightning.Callback):
    """What Lightning's Trainer itself says that it did."""

    times = {"eval": 0, "checkpoint": 0, "test": 0}
    seconds = {"eval": 0.0}

    def on_validation_start(self, trainer, pl_module):
        self.times["eval"] += 1
        self.began = time.monotonic()

    def on_validation_end(self, trainer, pl_module):
        self.seconds["eval"] += time.monotonic() - self.began

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        self.times["checkpoint"] += 1

    def on_test_start(self, trainer, pl_module):
        self.times["test"] += 1


trainer = lightning.Trainer(
    accelerator="cpu",
    max_epochs=3,
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[aimeter.lightning_callback(size=len), Counter()],
)
model = Model()
trainer.fit(model, LOADER, LOADER)
trainer.test(model, LOADER)
with open("done.json", "w") as file:
    json.dump({"times": Counter.times, "seconds": Counter.seconds}, file)

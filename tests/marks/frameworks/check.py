# SPDX-License-Identifier: Apache-2.0
"""`check.py TRAINING RECORD`: the record has the phases and the work of the training, by its
own arguments and by what the framework said that it did (`done.json`)."""

import json
import sys

UNITS = {
    "trainer_steps": {"steps": 12, "samples": 96, "tokens": 96 * 32},
    "trainer_epochs": {"steps": 16, "samples": 128, "tokens": 128 * 32},
    "lit_epochs": {"steps": 24, "samples": 192},
}

training, file = sys.argv[1:]
with open(file) as opened:
    record = json.load(opened)
with open("done.json") as opened:
    done = json.load(opened)
for phase in record["phases"]:
    print(f"{phase['name'] or '(in none)':12} {phase['times'] or '':>5} {phase['seconds']:9.3f} s {phase['joules']:10.3f} J")
for unit in record["work"]:
    print(f"{unit['unit']:12} {unit['count']:>9g} {unit['joules_per_unit']:14.6f} J each")
phases = {phase["name"]: phase for phase in record["phases"] if phase["name"]}
times = {name: phase["times"] for name, phase in phases.items() if name != "train"}
assert times == done["times"], f"{times} is not {done['times']}"
assert phases.keys() == {"train", *done["times"]}, phases.keys()
for name, seconds in done["seconds"].items():
    assert phases[name]["seconds"] >= 0.95 * seconds, f"{name} took {seconds} s"
counts = {unit["unit"]: unit["count"] for unit in record["work"]}
assert counts == UNITS[training], f"{counts} is not {UNITS[training]}"
# All that was counted was counted while it trained.
for unit in record["work"]:
    assert [phase["name"] for phase in unit["phases"]] == ["train"], unit["phases"]
joules = sum(round(phase["joules"] * 1e6) for phase in record["phases"])
assert joules == round(record["energy"]["total_joules"] * 1e6), "a microjoule is lost"

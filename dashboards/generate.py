#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the dashboards: `dashboards/generate.py [FOLDER]`, by default beside this file.

The JSON is checked in, so that nobody needs this to use it; a test compares it.
Python's standard library only.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from source import carbon, fleet, health, host, job  # noqa: E402

DASHBOARDS = {"fleet": fleet, "host": host, "job": job, "carbon": carbon, "health": health}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for name, source in DASHBOARDS.items():
        text = json.dumps(source.build(), indent=2, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

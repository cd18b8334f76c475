"""A batch on Ray beside the threads of this process, on one machine.

    python benchmarks/cluster.py [--fields 2000] [--rounds 3]

Both predict the same four PNG files of 512 px a field into a table; Ray is started before, and each side has predicted
some fields before it is timed. They take turns.

Claim: Ray reaches 0.8 of the local engine. `tests/predict/test_ray_engine.py` tests what Ray is for: two machines, a
worker killed, a machine lost, an object store that fails.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from batch import FIELDS, make_folder, rate, write_pngs  # type: ignore[import-not-found]

from lociscope.processes.threads import count_cores
from lociscope.workflows.engines import LOCAL, RAY
from lociscope.workflows.predict import predict_files

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
    import ray.data
except ImportError:
    print("needs the extra 'cluster'", file=sys.stderr)
    sys.exit(77)  # `run.py` keeps the earlier figures


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rates: dict[str, list[float]] = {LOCAL: [], RAY: []}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = make_folder(scratch / "png", write_pngs, FIELDS, args.fields)
        few = make_folder(scratch / "few", write_pngs, 16, 16)
        ray.init(include_dashboard=False, log_to_driver=False)
        try:
            for engine in rates:
                predict_files(few, scratch / f"few-{engine}.csv", engine=engine)
            for number in range(args.rounds):
                for engine, found in rates.items():
                    work = partial(predict_files, folder, scratch / f"{engine}{number}.csv", engine=engine)
                    found.append(rate(work, args.fields))
        finally:
            ray.shutdown()
    ratios = np.array(rates[RAY]) / np.array(rates[LOCAL])
    print(
        json.dumps(
            {
                "cores": count_cores(),
                "fields": args.fields,
                "least": 0.8,
                "ray ÷ local": round(float(np.median(ratios)), 3),
                "lowest, highest": [round(float(ratios.min()), 3), round(float(ratios.max()), 3)],
                **{f"{engine}, fields a second": round(float(np.median(found)), 1) for engine, found in rates.items()},
            },
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()

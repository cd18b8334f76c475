"""How fast fields are simulated at 256 and 512 px, and whether time and memory grow with their number.

Claim: on two cores 20 whole fields/s at 256 px (0.64 µm/px) and 6 fields/s at 512 px; four times as many fields take
four times as long within 20 %, and no more memory within 10 %. Processor seconds do not depend on other work on the
machine; fields/s do.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from multiprocessing import active_children

from lociscope.simulate import simulate_fields

COUNTS = {256: 400, 512: 120}
"""Fields simulated at each size, each of a specimen of its own: so many that the start of the workers counts little."""
FEW, MANY = 100, 400
CHILD = """
import resource, sys, time
from lociscope.simulate import simulate_fields
n = int(sys.argv[1])
start = time.process_time()
for field in simulate_fields(range(0, 2 * n, 2), seed=1, size=256): pass
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def processor_time() -> float:
    """Seconds that this process and its ended children have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def simulated(size: int, workers: int) -> dict[str, float]:
    """Processor seconds a field, and fields a second by the clock."""
    count = COUNTS[size]
    began, clock = processor_time(), time.perf_counter()
    for _ in simulate_fields(range(0, 2 * count, 2), seed=1, size=size, workers=workers):
        pass
    took = time.perf_counter() - clock
    for child in active_children():
        child.join()  # its time counts only when it has ended
    used = (processor_time() - began) / count
    return {"processor s a field": round(used, 3), "fields a second": round(count / took, 1)}


def alone(count: int) -> tuple[float, float]:
    """Processor seconds and peak MiB of a process that draws so many fields of 256 px."""
    said = subprocess.run([sys.executable, "-c", CHILD, str(count)], check=True, capture_output=True, text=True)
    seconds, peak = map(float, said.stdout.split())
    return seconds, peak


def main() -> None:
    """Measures and prints JSON."""
    found: dict[str, object] = {}
    for size in COUNTS:
        for workers in (1, 2):
            found[f"{size} px, {workers} worker{'s' * (workers > 1)}"] = simulated(size, workers)
    (few, few_peak), (many, many_peak) = alone(FEW), alone(MANY)
    found[f"time of {MANY} fields over {FEW}"] = round(many / few, 2)
    found[f"MiB of {FEW} and of {MANY} fields"] = [round(few_peak, 1), round(many_peak, 1)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()

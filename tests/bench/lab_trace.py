#!/usr/bin/env python3
"""One cache under LRU on one trace: this program's, in Wasm, compared with libCacheSim's native one and its Python plugin.

    pip install libcachesim
    cargo build --release
    tests/bench/lab_trace.py [target/release/dataverse] [CAPACITY ...]

The trace is the generated one (10,000 objects, 1,000,000 requests by Zipf's law, seed 7), written once as an
oracleGeneral file that all three read. Each number is the best of several runs on one core: machines are shared,
which can only slow a run down. This program's number excludes reading the file; libCacheSim's includes it, which
costs next to nothing because the file is memory-mapped.
"""

import collections
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left

import libcachesim

OBJECTS, REQUESTS, SEED = 10_000, 1_000_000, 7
RUNS = 5
MASK = (1 << 64) - 1


def ids():
    """The generated trace, computed as `dataverse lab trace --trace zipf:…` does."""
    total, cumulative = 0.0, []
    for rank in range(1, OBJECTS + 1):
        total += 1.0 / rank
        cumulative.append(total)
    cumulative = [share / total for share in cumulative]
    state = SEED
    for _ in range(REQUESTS):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        mixed = state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        mixed ^= mixed >> 31
        yield bisect_left(cumulative, (mixed >> 11) * 2.0**-53) + 1


def write_trace(path):
    asked = list(ids())
    following = [-1] * len(asked)
    last = {}
    for position, object_id in enumerate(asked):
        if object_id in last:
            following[last[object_id]] = position
        last[object_id] = position
    with open(path, "wb") as file:
        for position, object_id in enumerate(asked):
            file.write(struct.pack("<IQIq", position // 1000, object_id, 1, following[position]))


def ours(binary, path, capacity):
    command = [binary, "lab", "trace", "--trace", path, "--policy", "lru", "--capacity", str(capacity)]
    answer = subprocess.run(command + ["--jobs", "1", "--json"], check=True, capture_output=True).stdout
    row = next(row for row in json.loads(answer) if row["policy"] == "lru")
    return row["object_miss"], row["requests_per_second"]


def theirs(cache, path):
    parameters = libcachesim.ReaderInitParam(ignore_obj_size=True)
    kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE
    reader = libcachesim.TraceReader(path, kind, parameters)
    begun = time.perf_counter()
    missed, _ = cache.process_trace(reader)
    return missed, REQUESTS / (time.perf_counter() - begun)


def native(_, path, capacity):
    return theirs(libcachesim.LRU(capacity), path)


def plugin(_, path, capacity):
    def hit(order, request):
        order.move_to_end(request.obj_id)

    def miss(order, request):
        order[request.obj_id] = None

    def evict(order, _):
        return order.popitem(last=False)[0]

    def remove(order, object_id):
        order.pop(object_id, None)

    cache = libcachesim.PluginCache(
        capacity, lambda _: collections.OrderedDict(), hit, miss, evict, remove, lambda order: order.clear(), "lru"
    )
    return theirs(cache, path)


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else "target/release/dataverse"
    capacities = [int(capacity) for capacity in sys.argv[2:]] or [1000, 2500]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "zipf.oracleGeneral")
        write_trace(path)
        print(f"{'':24}{'capacity':>10}{'object miss':>13}{'requests/s':>13}{'of native':>11}")
        for capacity in capacities:
            found = {}
            for name, replay in [("libCacheSim, native", native), ("libCacheSim, plugin", plugin), ("Wasm, lab", ours)]:
                runs = [replay(binary, path, capacity) for _ in range(RUNS)]
                misses = {f"{missed:.6f}" for missed, _ in runs}
                assert len(misses) == 1, f"{name} is not the same in every run: {misses}"
                found[name] = max(rate for _, rate in runs)
                share = found[name] / found["libCacheSim, native"]
                print(f"{name:24}{capacity:>10}{misses.pop():>13}{found[name]:>13,.0f}{share:>11.3f}")


if __name__ == "__main__":
    main()

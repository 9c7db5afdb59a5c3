#!/usr/bin/env python3
"""Memory of a node after many small uploads, a little later, and after a restart in the same folder.

    memory_after_uploads.py BINARY [COUNT [BYTES [LIBRARY]]]

LIBRARY is an allocator to preload in place of the program's own (LD_PRELOAD). Uploads come from 14 processes with 16
connections each. Everything runs on 127.0.0.1, in a temporary folder under the current one.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process

PROCESSES, CONNECTIONS, USERS = 14, 16, 100


def start(binary, folder, library):
    command = [binary, "node", "--data", folder, "--http", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--factor", "1"]
    environment = dict(os.environ, **({"LD_PRELOAD": library} if library else {}))
    node = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    ready = re.search(r"http=127\.0\.0\.1:(\d+)", node.stdout.readline())
    if not ready:
        sys.exit("the node did not start")
    return node, int(ready.group(1))


def stop(node):
    node.send_signal(signal.SIGTERM)
    node.wait()


def report(when, node):
    with open(f"/proc/{node.pid}/status", encoding="ascii") as status:
        text = status.read()
    mib = [int(re.search(name + r":\s+(\d+)", text).group(1)) // 1024 for name in ("VmRSS", "RssAnon", "VmHWM")]
    print(f"{when:12} resident {mib[0]:4} MiB, of it anonymous {mib[1]:4} MiB, peak {mib[2]:4} MiB", flush=True)


def upload(port, count, size, lane):
    connections = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    rest = os.urandom(size - 8)
    numbers = list(range(lane, count, PROCESSES))
    for begin in range(0, len(numbers), CONNECTIONS):
        pairs = list(zip(connections, numbers[begin : begin + CONNECTIONS]))
        for connection, number in pairs:
            path = f"/v1/files/user-{number % USERS}/file-{number}.bin"
            connection.request("PUT", path, body=number.to_bytes(8, "big") + rest)
        for connection, _ in pairs:
            answer = connection.getresponse()
            answer.read()
            if answer.status != 201:
                sys.exit(f"an upload was answered {answer.status}")


def main():
    binary = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 15_000
    library = sys.argv[4] if len(sys.argv) > 4 else ""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        node, port = start(binary, folder, library)
        time.sleep(3)
        report("idle", node)
        began = time.time()
        lanes = [Process(target=upload, args=(port, count, size, lane)) for lane in range(PROCESSES)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        print(f"{count} uploads of {size} bytes in {time.time() - began:.1f} s")
        report("after", node)
        time.sleep(12)
        report("12 s later", node)
        stop(node)
        node, _ = start(binary, folder, library)
        time.sleep(4)
        report("restarted", node)
        stop(node)


if __name__ == "__main__":
    main()

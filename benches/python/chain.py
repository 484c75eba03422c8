"""A chain of asyncio queues, a task a node, for benches/python.rs.

Arguments: nodes, frames that fit in a queue. Says which Python this is, then, for each count that comes on a line of
standard input, passes so many frames through all nodes and answers the CPU time of this process in ns.
"""

import asyncio
import sys
import time


class Frame:
    """What travels: a time stamp and memory that is referred to."""

    __slots__ = ("pts", "payload")

    def __init__(self, pts, payload):
        self.pts = pts
        self.payload = payload


async def node(source, target):
    total = 0
    while True:
        frame = await source.get()
        total += frame.pts
        await target.put(frame)


async def sink(source, count):
    for _ in range(count):
        await source.get()


async def main(nodes, capacity):
    queues = [asyncio.Queue(capacity) for _ in range(nodes + 1)]
    # The loop itself holds tasks only weakly.
    tasks = [asyncio.create_task(node(a, b)) for a, b in zip(queues, queues[1:])]
    payload = memoryview(bytearray(1280 * 720 * 3 // 2))
    print("Python", sys.version.split()[0], flush=True)
    for line in sys.stdin:
        count = int(line)
        begin = time.process_time_ns()
        done = asyncio.create_task(sink(queues[-1], count))
        for pts in range(count):
            await queues[0].put(Frame(pts, payload))
        await done
        print(time.process_time_ns() - begin, flush=True)
    for task in tasks:
        task.cancel()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

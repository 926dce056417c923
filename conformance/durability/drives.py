"""Loses drives, replaces them, waits for full redundancy, and reads all back with other drives lost.

Says of each loss how long it took until nothing was missing any more, and what the server process read and
wrote meanwhile beside what the lost drives held. The kernel counts the reads and writes of the process
(`rchar`, `wchar` of /proc/PID/io): cells, log, checkpoints and indexes, from the page cache or not.
"""
import argparse, hashlib, itertools, random, secrets, shutil, tempfile, time

from node import Node

SIZES = [3, 6_000, 40_000, 250_000, 300_000, 1_100_000, 2_500_000, 9_000_000]
BUCKET = "durability"
COMBINATIONS = {"quick": 3, "sample": 4, "full": 20}


def fill(node, digests, name):
    """Stores one object of each size."""
    for size in SIZES:
        body, key = secrets.token_bytes(size), f"{name}/{size}"
        node.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        digests[key] = hashlib.sha256(body).hexdigest()


def check(node, digests):
    for key, digest in digests.items():
        body = node.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == digest, f"{key} reads back other bytes"


def wait_whole(node, seconds=600):
    """Until every shard is known to be in its place. Answers the status, and when that was: repairs that were begun
    while a drive was away are waited for too, but they find everything in its place."""
    end, whole = time.monotonic() + seconds, None
    while True:
        status = node.admin("status")
        repair = status["repair"]
        missing = status["shards_to_heal"] + repair["queued_stripes"]
        if status["state"] != "ready" or not status["settled"] or missing > 0:
            whole = None
        elif whole is None:
            whole = time.monotonic()
        if whole is not None and repair["waiting_stripes"] == 0:
            return status, whole
        assert time.monotonic() < end, f"not whole after {seconds} s: {status}"
        time.sleep(0.3)


def held(node, lost):
    """Bytes of live records on drives, before they are lost."""
    folders = {str(node.drive(number)) for number in lost}
    drives = [drive for drive in node.admin("drive", "list")["drives"] if drive["path"] in folders]
    assert len(drives) == len(lost), f"{folders} are not all in the list of drives"
    return sum(drive["stored_bytes"] - drive["dead_bytes"] for drive in drives)


class Replaced:
    """What the replacement of drives took."""

    def __init__(self, lost, how, held_bytes, seconds, rebuilt, read, written):
        self.lost, self.how, self.held_bytes, self.seconds = lost, how, held_bytes, seconds
        self.rebuilt, self.read, self.written = rebuilt, read, written

    @staticmethod
    def line(erasure, name, rows):
        held_bytes = sum(row.held_bytes for row in rows)
        part = lambda count: f"{count / len(rows) / 1e6:.1f} MB ({count / max(held_bytes, 1):.2f})"
        return (f"drives: {erasure}: {name}: held {held_bytes / len(rows) / 1e6:.1f} MB; whole again in "
                f"{sum(row.seconds for row in rows) / len(rows):.1f} s"
                f" (at most {max(row.seconds for row in rows):.1f}); rebuilt {part(sum(row.rebuilt for row in rows))}, "
                f"read {part(sum(row.read for row in rows))}, written {part(sum(row.written for row in rows))}")


def round_of(node, digests, lost, running):
    """Loses `lost`, replaces them, then loses as many others; answers what the replacement took."""
    how, held_bytes = "running" if running else "stopped", held(node, lost)
    if not running:
        node.stop()
    for number in lost:
        node.lose(number)
    if not running:
        node.start()
    check(node, digests)
    before, start = node.admin("status")["repair"]["repaired_bytes"], time.monotonic()
    read, written = node.process_io()
    for number in lost:
        node.admin("drive", "replace", f"d{number}")
    node.admin("drive", "wait")
    status, whole = wait_whole(node)
    took, rebuilt = whole - start, status["repair"]["repaired_bytes"] - before
    read_now, written_now = node.process_io()
    row = Replaced(lost, how, held_bytes, took, rebuilt, read_now - read, written_now - written)
    name = "+".join(f"d{number}" for number in lost)
    print(Replaced.line(node.erasure, f"{name} lost {how}", [row]), flush=True)
    fill(node, digests, f"after-{name}-{how}")
    lose_others(node, digests, lost, running)
    return row


def lose_others(node, digests, lost, running):
    """With as many of the other drives away, everything is read: the new drives hold what they should."""
    others = [number for number in drives_of(node) if number not in lost][:len(lost)]
    if not running:
        node.stop()
    for number in others:
        node.put_away(number)
    if not running:
        node.start()
    check(node, digests)
    for number in others:
        node.bring_back(number)
    wait_whole(node)


def drives_of(node):
    columns = sum(map(int, node.erasure.split("+")))
    return list(range(1, columns + 1))


def losses(node, mode):
    """Which drives are lost together: m of them, every choice if they are few, else the first, the last and some
    at random; but for quick, two drives alone too."""
    m, count = int(node.erasure.split("+")[1]), COMBINATIONS[mode]
    every = list(itertools.combinations(drives_of(node), m))
    if mode == "quick":
        return random.Random(1).sample(every, count)
    alone = [(drive,) for drive in random.Random(2).sample(drives_of(node), 2)]
    if len(every) <= count:
        return alone + every
    return alone + [every[0], every[-1]] + random.Random(1).sample(every[1:-1], count - 2)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=list(COMBINATIONS), help="how many choices of drives are lost")
    parser.add_argument("bin_dir", help="where the server's binary is")
    parser.add_argument("erasure", nargs="?", default="4+2", help="the geometry, one drive folder a shard")
    parser.add_argument("--megabytes", type=int, default=0, help="stores at least this much before the first loss")
    return parser.parse_args()


def main():
    options = arguments()
    folder = tempfile.mkdtemp(prefix="chartrier-drives-")
    node, digests, rows = Node(options.bin_dir, folder, options.erasure), {}, []
    try:
        node.start()
        node.s3.create_bucket(Bucket=BUCKET)
        for number in range(max(1, -(-options.megabytes * 1_000_000 // sum(SIZES)))):
            fill(node, digests, f"first-{number}")
        for place, lost in enumerate(losses(node, options.mode)):
            for running in ([place % 2 == 0] if options.mode == "quick" else [True, False]):
                rows.append(round_of(node, digests, lost, running))
        node.stop()
    except BaseException:
        node.kill()
        print(f"drives: the server's data and log stay in {folder}")
        raise
    shutil.rmtree(folder)
    for count in sorted({len(row.lost) for row in rows}):
        for how in ["running", "stopped"]:
            alike = [row for row in rows if len(row.lost) == count and row.how == how]
            if alike:
                name = f"{len(alike)} times {count} lost {how}, on average"
                print(Replaced.line(options.erasure, name, alike))
    print(f"drives: {options.erasure}: {len(rows)} losses, {len(digests)} objects in the end, "
          "all read with the drives lost and again with as many others away; nothing missing")


main()

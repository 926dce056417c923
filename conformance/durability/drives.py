"""Loses drives, replaces them, waits for full redundancy, and reads all back with other drives lost."""
import hashlib, itertools, random, secrets, shutil, sys, tempfile, time

from node import Node

SIZES = [3, 6_000, 40_000, 250_000, 300_000, 1_100_000, 2_500_000, 9_000_000]
BUCKET = "durability"


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


def wait_whole(node, seconds=300):
    end = time.monotonic() + seconds
    while True:
        status = node.admin("status")
        if status["state"] == "ready" and status["shards_to_heal"] == 0:
            return status
        assert time.monotonic() < end, f"not whole after {seconds} s: {status}"
        time.sleep(0.3)


def round_of(node, digests, lost, running):
    """Loses `lost`, replaces them, then loses as many others; says what the replacement took."""
    how = "running" if running else "stopped"
    if not running:
        node.stop()
    for number in lost:
        node.lose(number)
    if not running:
        node.start()
    check(node, digests)
    before, start = node.admin("status")["repair"]["repaired_bytes"], time.monotonic()
    for number in lost:
        node.admin("drive", "replace", f"d{number}")
    node.admin("drive", "wait")
    status = wait_whole(node)
    took, moved = time.monotonic() - start, status["repair"]["repaired_bytes"] - before
    name = "+".join(f"d{number}" for number in lost)
    print(f"drives: {node.erasure}: {name} lost {how}: whole again in {took:.1f} s, {moved / 1e6:.1f} MB written",
          flush=True)
    fill(node, digests, f"after-{name}-{how}")
    lose_others(node, digests, lost, running)
    return took, moved


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


def losses(node, quick):
    """Which drives are lost together: every pair of 4+2; of the wide codes every run, and some at random."""
    m = int(node.erasure.split("+")[1])
    every = list(itertools.combinations(drives_of(node), m))
    if quick:
        return random.Random(1).sample(every, 3)
    if len(every) <= 20:
        return every
    return [every[0], every[-1]] + random.Random(1).sample(every, 18)


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("quick", "full"):
        sys.exit("usage: drives quick|full BIN_DIR [ERASURE]")
    quick, erasure = sys.argv[1] == "quick", (sys.argv + ["4+2"])[3]
    folder = tempfile.mkdtemp(prefix="chartrier-drives-")
    node, digests, seconds, written, rounds = Node(sys.argv[2], folder, erasure), {}, 0.0, 0, 0
    try:
        node.start()
        node.s3.create_bucket(Bucket=BUCKET)
        fill(node, digests, "first")
        for place, lost in enumerate(losses(node, quick)):
            for running in ([place % 2 == 0] if quick else [True, False]):
                took, moved = round_of(node, digests, lost, running)
                seconds, written, rounds = seconds + took, written + moved, rounds + 1
        node.stop()
    except BaseException:
        node.kill()
        print(f"drives: the server's data and log stay in {folder}")
        raise
    shutil.rmtree(folder)
    print(f"drives: {erasure}: {rounds} losses, {len(digests)} objects read after each; "
          f"{seconds / rounds:.1f} s and {written / rounds / 1e6:.1f} MB a loss")


main()

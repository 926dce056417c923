"""Flips bits and zeroes sectors in every kind of file of up to m drives, and in the index, of a serving server.

What must hold: no client is ever given a wrong byte; after one scrub (and a restart, if the report asks for one to have
the index rebuilt) another finds nothing; each kind of finding has its leaf and the journal verifies; and then any m of
the drives that were NOT damaged may go, and everything is read: so what was damaged is whole again.

One line of JSON for each round. The seed decides sizes, drives and places; a failure prints it, and keeps the folder.
"""
import argparse, collections, hashlib, io, json, os, pathlib, random, shutil, tempfile, threading, time, traceback

from boto3.s3.transfer import TransferConfig

from store import Store

BLOCK = 4096
SIZES = [0, 100, 5000, 8000, 9000, 60_000, 70_000, 300_000, 1 << 20, 3 << 20, 12 << 20]
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"0123456789abcdef0123456789abcdef"}
# Not data: locks, RocksDB's own notes, files kept for reuse, how far a scrub is.
NOT_DATA = ("LOCK", "LOG", "lock", "spare-", "scrub.cursor", "IDENTITY", "OPTIONS")


def body_of(seed, key, size):
    """Bytes that differ from key to key."""
    return hashlib.shake_128(f"{seed}/{key}".encode()).digest(size)


def fill(store, seed, prefix, times):
    objects = {}
    for number, size in enumerate(SIZES * times):
        key, extra = f"{prefix}{number}", SSE_C if number % 2 else {}
        body = body_of(seed, key, size)
        if size > 10 << 20:
            store.s3.upload_fileobj(io.BytesIO(body), "flips", key, ExtraArgs=dict(extra) or None,
                                    Config=TransferConfig(multipart_chunksize=5 << 20))
        else:
            store.s3.put_object(Bucket="flips", Key=key, Body=body, **extra)
        objects[key] = (body, extra)
    for key in list(objects)[:3]:
        store.s3.delete_object(Bucket="flips", Key=key)
        del objects[key]
    return objects


def read_all(store, objects):
    for key, (body, extra) in objects.items():
        read = store.s3.get_object(Bucket="flips", Key=key, **extra)["Body"].read()
        assert read == body, f"WRONG BYTES in {key}"


class Readers:
    """Reads all the time, on several threads: wrong bytes are a failure, errors are counted."""

    def __init__(self, store, objects, threads=3):
        self.store, self.objects = store, dict(objects)
        self.stopped, self.reads, self.errors, self.wrong = threading.Event(), 0, collections.Counter(), []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(threads)]
        [thread.start() for thread in self.threads]

    def run(self, number):
        keys, draw = list(self.objects), random.Random(number)
        while not self.stopped.is_set():
            key = draw.choice(keys)
            body, extra = self.objects[key]
            try:
                read = self.store.s3.get_object(Bucket="flips", Key=key, **extra)["Body"].read()
                self.reads += 1
            except Exception as error:
                self.errors[type(error).__name__ + ": " + str(error)[:100]] += 1
                continue
            if read != body:
                self.wrong.append(key)

    def stop(self):
        self.stopped.set()
        [thread.join() for thread in self.threads]
        assert not self.wrong, f"WRONG BYTES in {sorted(set(self.wrong))}"


def kind_of(path):
    parts = path.parts
    for name in ("segments", "log", "checkpoints"):
        if name in parts:
            return name
    if "drives" not in parts:
        return "DATA/index"
    return "drive index" if any(part.startswith("index") for part in parts) else "superblock"


def damage(path, draw, flips):
    """Flips bits and zeroes one sector, where the file holds something. Answers how many places."""
    places = 0
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        held = [at for at in range(0, size, BLOCK) if file.seek(at) == at and file.read(BLOCK).strip(b"\0")]
        if not held:
            return 0
        for _ in range(flips):
            at = draw.choice(held)
            at += draw.randrange(min(BLOCK, size - at))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << draw.randrange(8))]))
            places += 1
        if draw.random() < 0.5:
            at = draw.choice(held)
            file.seek(at)
            file.write(bytes(min(BLOCK, size - at)))
            places += 1
    return places


def damage_all(store, draw, drives, with_index):
    done = collections.Counter()
    roots = list(drives) + ([store.data / "index"] if with_index else [])
    for root in roots:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            if path.name.startswith(NOT_DATA):
                continue
            try:
                done[kind_of(path)] += damage(path, draw, flips=3)
            except FileNotFoundError:
                pass  # compacted, or recycled, meanwhile
    return dict(done)


def round_of(store, seed, draw):
    store.start()
    store.s3.create_bucket(Bucket="flips")
    objects = fill(store, seed, "old", 3)
    assert store.stop() == 0, "a clean stop"
    store.start()
    objects |= fill(store, seed, "new", 1)
    drives = draw.sample(store.drives, draw.randint(1, store.m))
    with_index = draw.random() < 0.5
    readers = Readers(store, objects)
    places = damage_all(store, draw, drives, with_index)
    first, seconds = store.scrub()
    asks_restart = any("restart the server" in note for note in first["notes"])
    readers.stop()
    said = {"seed": seed, "drives": sorted(drive.name for drive in drives), "damaged": places, "found": first["found"],
            "repaired": first["repaired"], "repaired_bytes": first["repaired_bytes"], "scrub_s": seconds,
            "reads": readers.reads, "read_errors": dict(readers.errors), "restarted": asks_restart}
    if asks_restart:
        store.stop()
        store.start()
    else:
        assert first["unrepaired"] == 0, f"not mended: {first}"
    second, _ = store.scrub()
    if asks_restart:
        # What waited for the restart is mended by the second; the third is the one that finds nothing.
        assert second["unrepaired"] == 0, f"not mended after the restart: {second}"
        second, _ = store.scrub()
    assert not second["found"] and second["unrepaired"] == 0, f"the next scrub finds {second}"
    read_all(store, objects)
    store.s3.put_object(Bucket="flips", Key="late", Body=body_of(seed, "late", 500_000))
    objects["late"] = (body_of(seed, "late", 500_000), {})
    leaves = store.leaves(store.folder / "journal")
    noted = {leaf["data"]["kind"] for leaf in leaves if leaf["type"] == "storage.corruption"}
    lacking = set(first["found"]) - noted
    # While the index cannot be written nothing is put on record.
    assert not lacking or asks_restart, f"no leaf for {lacking}"
    said["leaves"] = collections.Counter(leaf["type"] for leaf in leaves if leaf["type"].startswith("storage."))
    assert store.stop() == 0, "a clean stop after the repairs"
    whole = [drive for drive in store.drives if drive not in drives]
    for away in [draw.sample(whole, min(store.m, len(whole))) for _ in range(2)]:
        for drive in away:
            drive.rename(drive.with_name(drive.name + ".away"))
        store.start()
        read_all(store, objects)
        store.stop()
        for drive in away:
            drive.with_name(drive.name + ".away").rename(drive)
    said["read_without"] = 2
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--erasure", default="4+2")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a failed round")
    args = parser.parse_args()
    failed = 0
    for seed in range(args.seed, args.seed + args.rounds):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="chartrier-flips-"))
        store, began = Store(args.bin_dir.resolve(), folder, args.erasure), time.monotonic()
        try:
            said = round_of(store, seed, random.Random(seed))
            print(json.dumps(said | {"seconds": round(time.monotonic() - began, 1)}), flush=True)
        except Exception as error:
            failed += 1
            traceback.print_exc()
            print(json.dumps({"seed": seed, "failed": str(error)[:2000], "folder": str(folder)}), flush=True)
        finally:
            if store.process.poll() is None:
                store.process.kill()
                store.process.wait()
            if not (args.keep and failed):
                shutil.rmtree(folder)
    print(f"flips: {args.rounds - failed} rounds passed, {failed} failed")
    raise SystemExit(1 if failed else 0)


main()

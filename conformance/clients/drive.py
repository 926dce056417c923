"""Runs every client's scenario against one server; prints a line each and a summary."""
import pathlib, sys, tempfile, time, traceback

import scenarios
from server import Server

SIZES = {"quick": (150, 40 << 20), "full": (4000, 1100 << 20)}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in SIZES:
        sys.exit("usage: drive.py quick|full BIN_DIR [CLIENT …]")
    files_max, large = SIZES[sys.argv[1]]
    wanted = sys.argv[3:]
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory(prefix="clients-") as folder, Server(sys.argv[2]) as server:
        for scenario in scenarios.SCENARIOS:
            if wanted and scenario.__name__ not in wanted:
                continue
            work = pathlib.Path(folder) / scenario.__name__
            (work / "tree").mkdir(parents=True)
            scenarios.real_tree(work / "tree", files_max)
            scenarios.random_file(work / "large", large)
            start = time.monotonic()
            try:
                said = scenario(server, work, large)
                print(f"clients: {scenario.__name__}: passed in {time.monotonic() - start:.1f} s: {said}", flush=True)
                passed += 1
            except Exception:
                traceback.print_exc()
                print(f"clients: {scenario.__name__}: FAILED", flush=True)
                failed += 1
        if failed:
            print(f"clients: the server's data and log stay in {server.folder}")
            print(f"{passed} passed, {failed} failed")
            raise SystemExit(1)
    print(f"{passed} passed, {failed} failed")


main()

"""Runs every client's scenario against one server; prints a line each and a summary."""
import argparse, pathlib, shutil, tempfile, time, traceback

import backups, languages, matrix, mounts, scenarios
from server import Server

SIZES = {"quick": (150, 40 << 20), "full": (4000, 1100 << 20)}
QUICK = scenarios.SCENARIOS
# These need more of the machine: a PostgreSQL, FUSE, Node.js.
FULL = QUICK + languages.SCENARIOS + mounts.SCENARIOS + backups.SCENARIOS


def chosen(options):
    if not options.client:
        return QUICK if options.size == "quick" else FULL
    by_name = {scenario.__name__: scenario for scenario in FULL}
    unknown = [name for name in options.client if name not in by_name]
    if unknown:
        raise SystemExit(f"clients: there is no {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in options.client]


def attempt(scenario, server, folder, files_max, large):
    """What the scenario says it did; `None` if it failed."""
    work = pathlib.Path(folder) / scenario.__name__
    (work / "tree").mkdir(parents=True)
    scenarios.real_tree(work / "tree", files_max)
    scenarios.random_file(work / "large", large)
    start = time.monotonic()
    try:
        said = scenario(server, work, large)
    except Exception:
        traceback.print_exc()
        print(f"clients: {scenario.__name__}: FAILED", flush=True)
        return None
    shutil.rmtree(work)
    print(f"clients: {scenario.__name__}: passed in {time.monotonic() - start:.1f} s: {said}", flush=True)
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("bin_dir")
    parser.add_argument("client", nargs="*", help="only these scenarios")
    parser.add_argument("--report", help="writes the matrix of clients to this file")
    options = parser.parse_args()
    files_max, large = SIZES[options.size]
    with tempfile.TemporaryDirectory(prefix="clients-") as folder, Server(options.bin_dir) as server:
        results = [(scenario.__name__, attempt(scenario, server, folder, files_max, large)) for scenario in chosen(options)]
        failed = sum(said is None for _, said in results)
        if options.report:
            matrix.write(options.report, files_max, large, results)
        if failed:
            print(f"clients: the server's data and log stay in {server.folder}")
            print(f"{len(results) - failed} passed, {failed} failed")
            raise SystemExit(1)
    print(f"{len(results)} passed, 0 failed")


main()

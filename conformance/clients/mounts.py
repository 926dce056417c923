"""Buckets as folders: s3fs."""
import os, secrets, shutil, time

from scenarios import digest, random_file, same_trees
from tools import run, s3_client


def s3fs(server, work, large):
    s3_client(server).create_bucket(Bucket="s3fs")
    password = work / "password"
    password.write_text(f"{server.access_key}:{server.secret_key}\n")
    password.chmod(0o600)
    mount, environment = work / "mount", server.environment(CURL_CA_BUNDLE=str(server.ca))

    def mounted():
        mount.mkdir(exist_ok=True)
        run(["s3fs", "s3fs", mount, "-o", f"url={server.endpoint}", "-o", "use_path_request_style", "-o", "endpoint=fr",
             "-o", f"passwd_file={password}"], environment)
        until = time.monotonic() + 30
        while not os.path.ismount(mount):
            assert time.monotonic() < until, "s3fs did not mount"
            time.sleep(0.1)

    def unmounted():
        run(["fusermount3" if shutil.which("fusermount3") else "fusermount", "-u", mount], environment)

    mounted()
    try:
        shutil.copytree(work / "tree", mount / "tree")
        shutil.copyfile(random_file(work / "parts", 60 << 20), mount / "parts")
        (mount / "tree").rename(mount / "renamed")
        with open(mount / "parts", "r+b") as file:
            file.seek(30 << 20)
            file.write(changed := secrets.token_bytes(1000))
        unmounted()
        # What a second mount reads was sent, not cached.
        mounted()
        files = same_trees(work / "tree", mount / "renamed")
        with open(work / "parts", "r+b") as file:
            file.seek(30 << 20)
            file.write(changed)
        assert digest(work / "parts") == digest(mount / "parts")
        shutil.rmtree(mount / "renamed")
        assert os.listdir(mount) == ["parts"]
    finally:
        unmounted()
    return f"{files} files copied, renamed, read by a second mount; a file of 60 MiB changed in the middle"


SCENARIOS = (s3fs,)

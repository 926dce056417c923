"""A Chartrier server on one folder that is stopped and started again, and what its drives are called."""
import configparser, json, pathlib, re, shutil, signal, subprocess

import boto3
import botocore.config


class Node:
    def __init__(self, bin_dir, folder, erasure):
        self.bin_dir, self.folder, self.erasure = pathlib.Path(bin_dir), pathlib.Path(folder), erasure
        self.data = self.folder / "data"
        self.process = None

    def drive(self, number):
        return self.data / "drives" / f"d{number}"

    def start(self):
        log = open(self.folder / "server.log", "a")
        self.process = subprocess.Popen(
            [self.bin_dir / "chartrier", "serve", "--data", self.data, "--erasure", self.erasure, "--listen",
             "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        line = self.process.stdout.readline()
        found = re.search(r"^ready s3=http://(\S+)", line)
        if not found:
            raise RuntimeError(f"no readiness line, see {self.folder}/server.log: {line!r}")
        credentials = configparser.ConfigParser()
        credentials.read(self.data / "credentials")
        keys = credentials["default"]
        session = boto3.session.Session(keys["aws_access_key_id"], keys["aws_secret_access_key"], region_name="fr")
        self.s3 = session.client("s3", endpoint_url=f"http://{found.group(1)}", config=botocore.config.Config(
            retries={"max_attempts": 8, "mode": "standard"}, read_timeout=120))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self.process = None
        if code != 0:
            raise RuntimeError(f"the server ended with {code} after SIGTERM, see {self.folder}/server.log")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def admin(self, *words):
        done = subprocess.run([self.bin_dir / "chartrier", "admin", "--data", self.data, "--json", *map(str, words)],
                              capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise AssertionError(f"admin {' '.join(map(str, words))}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def process_io(self):
        """Bytes that the server's process has read and written since it was started."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        counts = dict(line.split(": ") for line in lines)
        return int(counts["rchar"]), int(counts["wchar"])

    def lose(self, number):
        """Removes a drive's folder, as often as it takes while the server makes files in it."""
        while self.drive(number).exists():
            shutil.rmtree(self.drive(number), ignore_errors=True)

    def put_away(self, number):
        self.drive(number).rename(self.folder / f"away-d{number}")

    def bring_back(self, number):
        (self.folder / f"away-d{number}").rename(self.drive(number))

"""A Chartrier server on one folder that can be stopped, killed and started again."""
import configparser, json, re, signal, subprocess, time

import boto3, botocore.config

CONFIG = """
erasure = "{erasure}"
[storage]
segment_bytes = 8388608
log_segment_bytes = 4194304
checkpoint_log_bytes = 2097152
"""


class Store:
    def __init__(self, bin_dir, folder, erasure):
        self.bin_dir, self.folder, self.data = bin_dir, folder, folder / "data"
        k, m = map(int, erasure.split("+"))
        self.m = m
        self.drives = [self.data / "drives" / f"d{n}" for n in range(1, k + m + 1)]
        (folder / "chartrier.toml").write_text(CONFIG.format(erasure=erasure))
        self.log = open(folder / "server.log", "a")

    def start(self):
        self.process = subprocess.Popen(
            [self.bin_dir / "chartrier", "serve", "--config", self.folder / "chartrier.toml", "--data", self.data,
             "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        found = re.search(r"^ready s3=http://(\S+)", self.process.stdout.readline())
        if not found:
            raise AssertionError(f"the server does not start, see {self.folder}/server.log")
        credentials = configparser.ConfigParser()
        credentials.read(self.data / "credentials")
        keys = credentials["default"]
        self.s3 = boto3.client(
            "s3", endpoint_url=f"https://{found.group(1)}", verify=str(self.data / "tls/ca.pem"), region_name="fr",
            aws_access_key_id=keys["aws_access_key_id"], aws_secret_access_key=keys["aws_secret_access_key"],
            config=botocore.config.Config(retries={"max_attempts": 0}, max_pool_connections=16))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def admin(self, *words, check=True):
        done = subprocess.run([self.bin_dir / "chartrier", "admin", "--data", self.data, "--json", *words],
                              capture_output=True, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"admin {' '.join(map(str, words))}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {"error": done.stderr.strip()}

    def scrub(self):
        """One full pass; its report and how long it took."""
        began = time.monotonic()
        report = self.admin("scrub", "--wait", check=False)
        if "found" not in report:
            raise AssertionError(f"scrub: {report}")
        return report, round(time.monotonic() - began, 2)

    def leaves(self, out):
        """Exports the journal, has it verified, and answers its leaves."""
        self.admin("journal", "export", "--log", "cycle", out)
        subprocess.run([self.bin_dir / "chartrier-verify", out], check=True, capture_output=True)
        leaves = []
        for bundle in sorted(path for path in (out / "tile/entries").rglob("*") if path.is_file()):
            rest = bundle.read_bytes()
            while rest:
                length = int.from_bytes(rest[:2], "big")
                leaves.append(json.loads(rest[2:2 + length]))
                rest = rest[2 + length:]
        return leaves

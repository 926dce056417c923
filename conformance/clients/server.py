"""A Chartrier server for one run: started on free ports, stopped at the end, its logs kept on failure."""
import configparser, os, pathlib, re, shutil, signal, subprocess, tempfile


class Server:
    def __init__(self, bin_dir):
        self.bin_dir = pathlib.Path(bin_dir)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chartrier-clients-"))
        self.data = self.folder / "data"
        self.process = None

    def __enter__(self):
        self.log = open(self.folder / "server.log", "w")
        self.process = subprocess.Popen(
            [self.bin_dir / "chartrier", "serve", "--data", self.data, "--listen", "127.0.0.1:0",
             "--admin-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"^ready s3=http://(\S+) admin=http://(\S+)", line)
        if not found:
            raise RuntimeError(f"no readiness line, see {self.folder}/server.log: {line!r}")
        self.authority, self.admin_authority = found.groups()
        self.endpoint = f"https://{self.authority}"
        self.plain_endpoint = f"http://{self.authority}"
        self.ca = self.data / "tls/ca.pem"
        credentials = configparser.ConfigParser()
        credentials.read(self.data / "credentials")
        self.access_key = credentials["default"]["aws_access_key_id"]
        self.secret_key = credentials["default"]["aws_secret_access_key"]
        return self

    def environment(self, **more):
        """What the AWS tools need to know, and nothing that changes their behaviour."""
        return dict(os.environ, AWS_ACCESS_KEY_ID=self.access_key, AWS_SECRET_ACCESS_KEY=self.secret_key,
                    AWS_DEFAULT_REGION="fr", AWS_CA_BUNDLE=str(self.ca), HOME=str(self.folder), **more)

    def admin(self, *words):
        return subprocess.run([self.bin_dir / "chartrier", "admin", "--data", self.data, *words], check=True,
                              capture_output=True, text=True).stdout

    def __exit__(self, failure, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        if failure is None and code != 0:
            raise RuntimeError(f"the server ended with {code} after SIGTERM, see {self.folder}/server.log")
        if failure is None:
            shutil.rmtree(self.folder)
        else:
            print(f"clients: the server's log is {self.folder}/server.log")

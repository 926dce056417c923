"""A PostgreSQL of its own folder, whose WAL goes to an archive."""
import os, pathlib, pwd, shutil, socket, time

from tools import run

ROWS = 20_000


def programs():
    """The newest installed version's."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise AssertionError("no PostgreSQL below /usr/lib/postgresql")
    return found[-1].parent


class Postgres:
    def __init__(self, folder, ca):
        self.folder, self.data, self.ca = folder, folder / "data", folder / "ca.pem"
        self.bin, self.environment = programs(), dict(os.environ, HOME=str(folder), PGHOST=str(folder))
        folder.mkdir()
        shutil.copyfile(ca, self.ca)
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]

    def __enter__(self):
        self.own(self.folder)
        # PostgreSQL's user reaches its folder through those above it.
        for above in (self.folder.parent, self.folder.parent.parent):
            above.chmod(0o755)
        self.as_postgres([self.bin / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync"])
        return self

    def __exit__(self, *_):
        self.stop()

    def own(self, path):
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(path, user.pw_uid, user.pw_gid)

    def as_postgres(self, words, check=True):
        """PostgreSQL refuses to run as root."""
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        return run([*user, *words], self.environment, check, folder=self.folder)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        self.own(path)
        return path

    def start(self, archive, restore=None):
        """With a restore command it recovers to the end of the archive first."""
        lines = {"port": self.port, "listen_addresses": "''", "unix_socket_directories": f"'{self.folder}'",
                 "archive_mode": "on", "archive_command": f"'{archive}'", "wal_level": "replica", "max_wal_senders": 4}
        if restore:
            lines["restore_command"] = f"'{restore}'"
            self.as_postgres(["touch", self.data / "recovery.signal"])
        config = self.write("server.conf", "".join(f"{name} = {value}\n" for name, value in lines.items()))
        log = self.folder / "server.log"
        done = self.as_postgres([self.bin / "pg_ctl", "-D", self.data, "-l", log, "-w", "-t", "120",
                                 "-o", f"-c config_file={config} -c hba_file={self.data}/pg_hba.conf"
                                       f" -c ident_file={self.data}/pg_ident.conf", "start"], check=False)
        if done.returncode != 0:
            raise AssertionError(f"PostgreSQL did not start:\n{log.read_text()[-4000:]}")
        until = time.monotonic() + 120
        while self.sql("select pg_is_in_recovery()") != "f":
            assert time.monotonic() < until, "the recovery does not end"
            time.sleep(0.3)

    def stop(self):
        if self.data.exists():
            self.as_postgres([self.bin / "pg_ctl", "-D", self.data, "-w", "-m", "fast", "stop"], check=False)

    def destroy(self):
        """The machine is lost."""
        self.as_postgres([self.bin / "pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop"])
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        self.own(self.data)

    def sql(self, text):
        return self.as_postgres([self.bin / "psql", "-p", self.port, "-U", "postgres", "-AtXq", "-v", "ON_ERROR_STOP=1",
                                 "-c", text]).stdout.strip()

    def fill(self):
        self.sql("create table if not exists charters (id bigserial primary key, body text)")
        self.sql(f"insert into charters (body) select md5(random()::text) from generate_series(1, {ROWS})")
        return ROWS

    def count(self):
        return int(self.sql("select count(*) from charters"))

    def switch_wal(self):
        """Returns once the archive has everything."""
        name = self.sql("select pg_walfile_name(pg_switch_wal())")
        until = time.monotonic() + 120
        while self.sql(f"select coalesce(last_archived_wal >= '{name}', false) from pg_stat_archiver") != "t":
            assert time.monotonic() < until, "the archive does not take the WAL"
            time.sleep(0.2)

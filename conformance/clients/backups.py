"""Backup tools, each with a real backup that is restored and compared: duplicity, pgBackRest, barman-cloud."""
import json, secrets, shutil

import botocore.exceptions

from postgres import Postgres
from scenarios import same_trees
from tools import python_program, run, s3_client


def duplicity(server, work, large):
    s3_client(server).create_bucket(Bucket="duplicity")
    environment = server.environment(PASSPHRASE="a passphrase of the test", AWS_ENDPOINT_URL=server.endpoint)
    where = ["--s3-endpoint-url", server.endpoint, "--archive-dir", work / "archive"]
    def command(*words):
        return run([python_program("duplicity"), *words], environment)
    command("full", *where, work / "tree", "boto3+s3://duplicity/tree")
    (work / "tree/added later").write_bytes(secrets.token_bytes(100_000))
    command("incremental", *where, work / "tree", "boto3+s3://duplicity/tree")
    command("verify", "--compare-data", *where, "boto3+s3://duplicity/tree", work / "tree")
    # Another machine: nothing of the first one's archive folder is there.
    shutil.rmtree(work / "archive")
    command("restore", *where, "boto3+s3://duplicity/tree", work / "restored")
    files = same_trees(work / "tree", work / "restored")
    command("remove-all-but-n-full", "1", "--force", *where, "boto3+s3://duplicity/tree")
    return f"{files} files, encrypted, full and incremental, restored without the local archive"


def pgbackrest(server, work, large):
    s3 = s3_client(server)
    s3.create_bucket(Bucket="pgbackrest", ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(Bucket="pgbackrest", ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}})
    # It compares the certificate with names only, not with addresses.
    port = server.authority.rsplit(":", 1)[1]
    with Postgres(work / "postgres", ca=server.ca) as postgres:
        config = postgres.write("pgbackrest.conf", f"""
[global]
repo1-type=s3
repo1-path=/repo
repo1-s3-bucket=pgbackrest
repo1-s3-endpoint=localhost
repo1-s3-region=fr
repo1-s3-key={server.access_key}
repo1-s3-key-secret={server.secret_key}
repo1-s3-uri-style=path
repo1-storage-port={port}
repo1-storage-ca-file={postgres.ca}
repo1-retention-full=1
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={secrets.token_hex(16)}
lock-path={postgres.folder}/lock
log-path={postgres.folder}/log
spool-path={postgres.folder}/spool
start-fast=y

[main]
pg1-path={postgres.data}
pg1-port={postgres.port}
pg1-socket-path={postgres.folder}
pg1-user=postgres
""")
        def command(*words):
            return postgres.as_postgres(["pgbackrest", f"--config={config}", "--stanza=main", *words])
        archive = f"pgbackrest --config={config} --stanza=main archive-push %p"
        restore = f"pgbackrest --config={config} --stanza=main archive-get %f \"%p\""
        postgres.start(archive)
        command("stanza-create")
        command("check")
        rows = postgres.fill()
        command("--type=full", "backup")
        more = postgres.fill()
        command("--type=incr", "backup")
        last = postgres.fill()
        postgres.switch_wal()
        postgres.destroy()
        command("restore")
        postgres.start(archive, restore)
        assert postgres.count() == rows + more + last
        # A second full backup lets the first expire: behind its delete markers the locked versions stay.
        command("--type=full", "backup")
    versions = s3.list_object_versions(Bucket="pgbackrest", Prefix="repo/")
    assert versions.get("DeleteMarkers"), "nothing expired"
    held = versions["Versions"][0]
    try:
        s3.delete_object(Bucket="pgbackrest", Key=held["Key"], VersionId=held["VersionId"], BypassGovernanceRetention=True)
        raise AssertionError("a locked version was removed")
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
    return f"PostgreSQL of {rows + more + last} rows, full and incremental, restored to the last WAL, in a locked bucket"


def barman_cloud(server, work, large):
    s3_client(server).create_bucket(Bucket="barman")
    with Postgres(work / "postgres", ca=server.ca) as postgres:
        postgres.environment.update(AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key,
                                    AWS_DEFAULT_REGION="fr", AWS_CA_BUNDLE=str(postgres.ca))
        where = ["--endpoint-url", server.endpoint]
        def command(name, *words):
            return postgres.as_postgres([f"barman-cloud-{name}", *where, *words])
        tool = f"barman-cloud-wal-archive --endpoint-url {server.endpoint} s3://barman main %p"
        back = f"barman-cloud-wal-restore --endpoint-url {server.endpoint} s3://barman main %f %p"
        postgres.start(tool)
        rows = postgres.fill()
        command("backup", "-h", postgres.folder, "-p", postgres.port, "-U", "postgres", "s3://barman", "main")
        more = postgres.fill()
        postgres.switch_wal()
        listed = json.loads(command("backup-list", "--format", "json", "s3://barman", "main").stdout)
        backup = listed["backups_list"][0]["backup_id"]
        postgres.destroy()
        command("restore", "s3://barman", "main", backup, postgres.data)
        postgres.start(tool, back)
        assert postgres.count() == rows + more
        command("backup-delete", "--retention-policy", "REDUNDANCY 1", "s3://barman", "main")
    return f"PostgreSQL of {rows + more} rows, restored to the last WAL"


SCENARIOS = (duplicity, pgbackrest, barman_cloud)

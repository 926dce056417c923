"""One function a client: real files up, down, compared; keys, wrong keys, no keys."""
import base64, hashlib, io, json, os, pathlib, secrets, shutil

import botocore.exceptions

from temporary import temporary_credentials
from tools import run, s3_client


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_trees(left, right):
    """Compares two folders file by file, digest by digest; returns the number of files."""
    def listing(root):
        return {str(path.relative_to(root)): digest(path) for path in root.rglob("*") if path.is_file()}
    one, other = listing(left), listing(right)
    assert one == other, f"{left} and {right} differ: {sorted(set(one.items()) ^ set(other.items()))[:5]}"
    return len(one)


def random_file(path, size):
    with open(path, "wb") as file:
        while size > 0:
            piece = secrets.token_bytes(min(size, 1 << 20))
            file.write(piece)
            size -= len(piece)
    return path


def boto3_client(server, work, large):
    s3 = s3_client(server)
    s3.create_bucket(Bucket="boto3", CreateBucketConfiguration={"LocationConstraint": "fr"})
    body = secrets.token_bytes(100_000)
    s3.put_object(Bucket="boto3", Key="a/é b+c//..%2F", Body=body, Metadata={"kind": "charter"},
                  ContentType="text/plain")
    answer = s3.get_object(Bucket="boto3", Key="a/é b+c//..%2F")
    assert answer["Body"].read() == body and answer["Metadata"] == {"kind": "charter"}
    assert answer["ContentType"] == "text/plain"
    head = s3.head_object(Bucket="boto3", Key="a/é b+c//..%2F", ChecksumMode="ENABLED")
    assert head["ContentLength"] == len(body)
    ranged = s3.get_object(Bucket="boto3", Key="a/é b+c//..%2F", Range="bytes=16380-49155")
    assert ranged["Body"].read() == body[16380:49156]
    algorithms = ("CRC32", "SHA1", "SHA256") + (("CRC32C", "CRC64NVME") if have_crt() else ())
    for algorithm in algorithms:
        s3.put_object(Bucket="boto3", Key=algorithm, Body=body, ChecksumAlgorithm=algorithm)
        assert s3.get_object(Bucket="boto3", Key=algorithm, ChecksumMode="ENABLED")["Body"].read() == body
    s3.upload_fileobj(io.BytesIO(body * 200), "boto3", "multipart")
    back = io.BytesIO()
    s3.download_fileobj("boto3", "multipart", back)
    assert back.getvalue() == body * 200
    try:
        s3.put_object(Bucket="boto3", Key="CRC32", Body=b"x", IfNoneMatch="*")
        raise AssertionError("a conditional create over an existing object was accepted")
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "PreconditionFailed", error
    key = secrets.token_bytes(32)
    s3.put_object(Bucket="boto3", Key="sealed", Body=body, SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    answer = s3.get_object(Bucket="boto3", Key="sealed", SSECustomerAlgorithm="AES256", SSECustomerKey=key)
    assert answer["Body"].read() == body
    for wrong, status in ((secrets.token_bytes(32), 403), (None, 400)):
        extra = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": wrong} if wrong else {}
        try:
            s3.get_object(Bucket="boto3", Key="sealed", **extra)
            raise AssertionError("a sealed object was read without its key")
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "boto3", "Key": "CRC32"})
    run(["curl", "-sSf", "--cacert", server.ca, "-o", work / "presigned", url], dict(os.environ))
    assert (work / "presigned").read_bytes() == body
    keys = [item["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="boto3", PaginationConfig={"PageSize": 2})
            for item in page["Contents"]]
    assert keys == sorted(keys, key=str.encode) and "multipart" in keys, keys
    done = s3.delete_objects(Bucket="boto3", Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(done["Deleted"]) == len(keys)
    s3.delete_bucket(Bucket="boto3")
    return f"{len(keys)} objects, {len(algorithms)} checksum algorithms"


def have_crt():
    try:
        import awscrt  # noqa: F401
        return True
    except ImportError:
        return False


def aws_cli(server, work, large):
    environment = server.environment()
    def aws(*words, check=True):
        return run(["aws", "--endpoint-url", server.endpoint, *words], environment, check)
    aws("s3", "mb", "s3://awscli")
    file = random_file(work / "large", large)
    aws("s3", "cp", file, "s3://awscli/large")
    aws("s3", "cp", "s3://awscli/large", work / "back")
    assert digest(file) == digest(work / "back")
    (work / "key").write_bytes(secrets.token_bytes(32))
    (work / "other").write_bytes(secrets.token_bytes(32))
    with_key = ["--sse-c", "AES256", "--sse-c-key", f"fileb://{work}/key"]
    aws("s3", "cp", file, "s3://awscli/sealed", *with_key)
    aws("s3", "cp", "s3://awscli/sealed", work / "back", *with_key)
    assert digest(file) == digest(work / "back")
    wrong = aws("s3", "cp", "s3://awscli/sealed", work / "no", "--sse-c", "AES256", "--sse-c-key",
                f"fileb://{work}/other", check=False)
    assert wrong.returncode != 0 and "403" in wrong.stderr, wrong.stderr
    none = aws("s3", "cp", "s3://awscli/sealed", work / "no", check=False)
    assert none.returncode != 0 and "400" in none.stderr, none.stderr
    aws("s3", "sync", "--quiet", work / "tree", "s3://awscli/tree")
    aws("s3", "sync", "--quiet", "s3://awscli/tree", work / "tree-back")
    files = same_trees(work / "tree", work / "tree-back")
    again = aws("s3", "sync", work / "tree", "s3://awscli/tree")
    assert "upload:" not in again.stdout, f"a second sync sent files again: {again.stdout[:500]}"
    aws("s3", "mv", "s3://awscli/large", "s3://awscli/moved")
    assert "moved" in aws("s3", "ls", "s3://awscli/").stdout
    aws("s3", "rb", "--force", "s3://awscli")
    return f"{files} files, one of {large >> 20} MiB with and without SSE-C"


def rclone(server, work, large):
    environment = dict(os.environ, HOME=str(work), RCLONE_CONFIG_R_TYPE="s3", RCLONE_CONFIG_R_PROVIDER="Other",
                       RCLONE_CONFIG_R_ACCESS_KEY_ID=server.access_key, RCLONE_CA_CERT=str(server.ca),
                       RCLONE_CONFIG_R_SECRET_ACCESS_KEY=server.secret_key, RCLONE_CONFIG_R_ENDPOINT=server.endpoint)
    program = pathlib.Path(os.sys.executable).parent / "rclone"
    sealed = dict(environment, RCLONE_S3_SSE_CUSTOMER_ALGORITHM="AES256",
                  RCLONE_S3_SSE_CUSTOMER_KEY_BASE64=base64.b64encode(secrets.token_bytes(32)).decode())
    counts = []
    for bucket, chosen in (("rclone", environment), ("rclone-sealed", sealed)):
        run([program, "mkdir", f"r:{bucket}"], chosen)
        run([program, "sync", work / "tree", f"r:{bucket}/tree"], chosen)
        run([program, "copyto", work / "large", f"r:{bucket}/large"], chosen)
        # With a client key the ETag is no digest: what rclone can compare is what it reads back.
        flags = ["--download"] if chosen is sealed else []
        run([program, "check", *flags, work / "tree", f"r:{bucket}/tree"], chosen)
        back = work / f"back-{bucket}"
        run([program, "sync", f"r:{bucket}/tree", back], chosen)
        run([program, "copyto", f"r:{bucket}/large", work / "back"], chosen)
        assert digest(work / "large") == digest(work / "back")
        counts.append(same_trees(work / "tree", back))
        listed = json.loads(run([program, "lsjson", "-R", "--files-only", f"r:{bucket}/tree"], chosen).stdout)
        assert len(listed) == counts[-1]
        run([program, "purge", f"r:{bucket}"], chosen)
    # Object lock by rclone's own options.
    locks = ["--s3-bucket-object-lock-enabled", "--s3-object-lock-mode", "GOVERNANCE",
             "--s3-object-lock-retain-until-date", "1h"]
    run([program, "mkdir", "r:rclone-locked", *locks], environment)
    run([program, "copyto", work / "large", "r:rclone-locked/large", *locks], environment)
    s3 = s3_client(server)
    head = s3.head_object(Bucket="rclone-locked", Key="large")
    assert head["ObjectLockMode"] == "GOVERNANCE", head
    try:
        s3.delete_object(Bucket="rclone-locked", Key="large", VersionId=head["VersionId"])
        raise AssertionError("a locked version was removed")
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
    return f"{counts[0]} files, with and without SSE-C; one locked"


def s3cmd(server, work, large):
    environment = dict(os.environ, HOME=str(work))
    flags = ["--access_key", server.access_key, "--secret_key", server.secret_key, "--host", server.authority,
             "--host-bucket", server.authority, "--ca-certs", server.ca, "--no-progress"]
    def command(*words):
        return run(["s3cmd", *flags, *words], environment)
    command("mb", "s3://s3cmd")
    command("sync", f"{work}/tree/", "s3://s3cmd/tree/")
    (work / "s3cmd-back").mkdir()
    command("sync", "s3://s3cmd/tree/", f"{work}/s3cmd-back/")
    files = same_trees(work / "tree", work / "s3cmd-back")
    command("put", work / "large", "s3://s3cmd/large")
    command("get", "--force", "s3://s3cmd/large", work / "back")
    assert digest(work / "large") == digest(work / "back")
    assert "large" in command("info", "s3://s3cmd/large").stdout
    command("del", "--recursive", "--force", "s3://s3cmd")
    command("rb", "s3://s3cmd")
    return f"{files} files"


def restic(server, work, large):
    environment = dict(os.environ, HOME=str(work), AWS_ACCESS_KEY_ID=server.access_key,
                       AWS_SECRET_ACCESS_KEY=server.secret_key, RESTIC_PASSWORD="a password of the test",
                       RESTIC_REPOSITORY=f"s3:{server.endpoint}/restic")
    def command(*words):
        return run(["restic", "--cacert", server.ca, "--cache-dir", work / "restic-cache", *words], environment)
    command("init")
    command("backup", work / "tree")
    command("backup", work / "large")
    command("check", "--read-data")
    command("restore", "--path", work / "tree", "--target", work / "restored", "latest")
    restored = work / "restored" / (work / "tree").relative_to("/")
    files = same_trees(work / "tree", restored)
    command("forget", "--keep-last", "1", "--prune")
    command("check")
    return f"{files} files, checked with --read-data, restored"


def aws_sdk_rust(server, work, large):
    return run([server.bin_dir / "chartrier-aws-sdk", "--endpoint", server.endpoint, "--access-key", server.access_key,
                "--secret-key", server.secret_key, "--region", "fr", "--ca", server.ca], dict(os.environ)).stdout.strip()


def journal(server, work, large):
    out = work / "export"
    server.admin("journal", "export", "--log", "cycle", str(out))
    said = run([server.bin_dir / "chartrier-verify", out], dict(os.environ)).stdout
    return said.strip()


SCENARIOS = (boto3_client, aws_cli, temporary_credentials, rclone, s3cmd, restic, aws_sdk_rust, journal)


def real_tree(target, files_max):
    """Copies real files of this machine: its documentation, folder structure and odd names included."""
    source, count = pathlib.Path("/usr/share/doc"), 0
    for path in sorted(source.rglob("*")):
        if count >= files_max:
            break
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 5 << 20:
            to = target / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            count += 1
    names = ("with space", "plus+and%25", "accent-é-漢", "tilde~(paren)'quote", "empty")
    for name in names:
        (target / "odd names").mkdir(parents=True, exist_ok=True)
        (target / "odd names" / name).write_bytes(b"" if name == "empty" else name.encode() * 100)
    return count + len(names)

"""Temporary credentials: STS by boto3 and by the AWS CLI's own profiles, with a small issuer of ours."""
import base64, http.server, json, os, pathlib, subprocess, threading, time

import boto3
import botocore.exceptions

from tools import run


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """OpenID Connect as far as STS asks for it, on loopback, its key made by openssl."""

    def __init__(self, work):
        self.key = work / "issuer.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-modulus", "-noout"], check=True,
                                 capture_output=True, text=True).stdout.strip().split("=")[1]
        jwk = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                pages = {"/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": issuer.url + "/keys"},
                         "/keys": {"keys": [jwk]}}
                page = pages.get(self.path)
                body = json.dumps(page or {}).encode()
                self.send_response(200 if page else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.name}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "sub": "job-7", "aud": "chartrier", "iat": now, "exp": now + 600, **claims}
        signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one"}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(),
                                   check=True, capture_output=True).stdout
        return f"{signed}.{b64(signature)}"


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def temporary_credentials(server, work, large):
    made = json.loads(server.admin("user", "add", "archives", "--json"))
    known = dict(aws_access_key_id=made["access_key_id"], aws_secret_access_key=made["secret_access_key"])
    common = dict(endpoint_url=server.endpoint, verify=str(server.ca), region_name="fr")
    client = lambda service, keys: boto3.client(service, **common, **keys)
    of = lambda answer: dict(aws_access_key_id=answer["Credentials"]["AccessKeyId"],
                             aws_secret_access_key=answer["Credentials"]["SecretAccessKey"],
                             aws_session_token=answer["Credentials"]["SessionToken"])
    s3, sts, iam = (client(service, known) for service in ("s3", "sts", "iam"))
    s3.create_bucket(Bucket="temporary", CreateBucketConfiguration={"LocationConstraint": "fr"})
    s3.put_object(Bucket="temporary", Key="k", Body=b"x")
    account = sts.get_caller_identity()["Account"]

    # AssumeRole, with a session policy; then S3, a presigned URL and a form with what it gave.
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=policy(Principal={"AWS": account}, Action="sts:AssumeRole"))
    iam.put_role_policy(RoleName="worker", PolicyName="s3", PolicyDocument=policy(Action="s3:*", Resource="*"))
    worker = f"arn:aws:iam::{account}:role/worker"
    answer = sts.assume_role(RoleArn=worker, RoleSessionName="boto3")
    session = client("s3", of(answer))
    assert session.get_object(Bucket="temporary", Key="k")["Body"].read() == b"x"
    url = session.generate_presigned_url("get_object", Params={"Bucket": "temporary", "Key": "k"})
    run(["curl", "-sSf", "--cacert", server.ca, "-o", work / "presigned", url], dict(os.environ))
    assert (work / "presigned").read_bytes() == b"x"
    post = session.generate_presigned_post("temporary", "form")
    fields = [word for name, value in post["fields"].items() for word in ("-F", f"{name}={value}")]
    run(["curl", "-sSf", "--cacert", server.ca, *fields, "-F", f"file=@{work / 'presigned'}", post["url"]], dict(os.environ))
    assert s3.get_object(Bucket="temporary", Key="form")["Body"].read() == b"x"
    narrow = policy(Action="s3:GetObject", Resource="arn:aws:s3:::temporary/k")
    reader = client("s3", of(sts.assume_role(RoleArn=worker, RoleSessionName="reader", Policy=narrow)))
    assert reader.get_object(Bucket="temporary", Key="k")["Body"].read() == b"x"
    refused("AccessDenied", reader.put_object, Bucket="temporary", Key="k", Body=b"y")
    identity = client("sts", of(answer)).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{account}:assumed-role/worker/boto3", identity

    # GetSessionToken, and a token that was touched.
    own = of(sts.get_session_token(DurationSeconds=900))
    assert client("s3", own).get_object(Bucket="temporary", Key="k")["Body"].read() == b"x"
    token = own["aws_session_token"]
    own["aws_session_token"] = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    refused("InvalidToken", client("s3", own).get_object, Bucket="temporary", Key="k")
    signed = sts.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    done = run(["curl", "-sS", "--cacert", server.ca, signed], dict(os.environ))
    assert f"<Account>{account}</Account>" in done.stdout, done.stdout

    # AssumeRoleWithWebIdentity, unsigned, for a subject that the role trusts and for another.
    issuer = Issuer(work)
    provider = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["chartrier"])["OpenIDConnectProviderArn"]
    trust = policy(Principal={"Federated": provider}, Action="sts:AssumeRoleWithWebIdentity",
                   Condition={"StringEquals": {f"{issuer.name}:sub": "job-7", f"{issuer.name}:aud": "chartrier"}})
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust)
    iam.attach_role_policy(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    web = dict(RoleArn=f"arn:aws:iam::{account}:role/web", RoleSessionName="job")
    answer = sts.assume_role_with_web_identity(**web, WebIdentityToken=issuer.token())
    assert answer["SubjectFromWebIdentityToken"] == "job-7" and answer["Audience"] == "chartrier", answer
    assert client("s3", of(answer)).get_object(Bucket="temporary", Key="k")["Body"].read() == b"x"
    refused("AccessDenied", sts.assume_role_with_web_identity, **web, WebIdentityToken=issuer.token(sub="job-8"))
    refused("InvalidIdentityToken", sts.assume_role_with_web_identity, **web, WebIdentityToken=issuer.token(aud="x"))
    refused("ExpiredTokenException", sts.assume_role_with_web_identity, **web, WebIdentityToken=issuer.token(exp=1))

    # The AWS CLI does it by itself: a profile that assumes a role, and a token in a file.
    (work / "config").write_text(
        f"[profile base]\nregion = fr\naws_access_key_id = {made['access_key_id']}\n"
        f"aws_secret_access_key = {made['secret_access_key']}\n"
        f"[profile worker]\nregion = fr\nrole_arn = {worker}\nsource_profile = base\nrole_session_name = cli\n")
    (work / "token").write_text(issuer.token())
    bare = {name: value for name, value in server.environment().items() if not name.startswith("AWS_")}
    bare |= dict(AWS_CA_BUNDLE=str(server.ca), AWS_CONFIG_FILE=str(work / "config"), AWS_ENDPOINT_URL=server.endpoint,
                 AWS_EC2_METADATA_DISABLED="true")
    who = run(["aws", "--profile", "worker", "sts", "get-caller-identity"], bare)
    assert "assumed-role/worker/cli" in who.stdout, who.stdout
    run(["aws", "--profile", "worker", "s3", "cp", "s3://temporary/k", work / "by-role"], bare)
    by_web = bare | dict(AWS_ROLE_ARN=web["RoleArn"], AWS_WEB_IDENTITY_TOKEN_FILE=str(work / "token"),
                         AWS_ROLE_SESSION_NAME="cli", AWS_DEFAULT_REGION="fr", AWS_ENDPOINT_URL_STS=server.endpoint,
                         AWS_CONFIG_FILE=str(work / "none"))
    run(["aws", "s3", "cp", "s3://temporary/k", work / "by-web"], by_web)
    assert (work / "by-role").read_bytes() == (work / "by-web").read_bytes() == b"x"

    # Lists by pages, as paginators ask for them.
    names = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
             for role in page["Roles"]]
    assert names == ["web", "worker"], names
    log = pathlib.Path(server.log.name).read_text()
    assert token not in log and made["secret_access_key"] not in log
    return "AssumeRole, GetSessionToken and AssumeRoleWithWebIdentity by boto3 and the AWS CLI"

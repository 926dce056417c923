"""The matrix of clients, as docs/clients.md has it."""
import json, os, pathlib, re, tomllib

import boto3

from tools import python_program, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDPOINT = "endpoint, key, CA"


def says(*words):
    """The first number with dots in what a program says of itself."""
    def version():
        done = run(words, dict(os.environ))
        return re.search(r"\d+(\.\d+)+", done.stdout + done.stderr).group()
    return version


def locked_crate(name):
    def version():
        packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
        return next(package["version"] for package in packages if package["name"] == name)
    return version


def locked_module(name):
    def version():
        lock = json.loads((ROOT / "conformance/clients/javascript/package-lock.json").read_text())
        return lock["packages"][f"node_modules/{name}"]["version"]
    return version


# By scenario: the client, its version, and what it is told besides its defaults.
CLIENTS = {
    "boto3_client": ("boto3", lambda: boto3.__version__, ENDPOINT),
    "aws_cli": ("AWS CLI", says("aws", "--version"), ENDPOINT),
    "temporary_credentials": ("boto3 and AWS CLI with STS", lambda: boto3.__version__, ENDPOINT + ", a profile with a role"),
    "rclone": ("rclone", says(python_program("rclone"), "version"), ENDPOINT + ", provider Other"),
    "s3cmd": ("s3cmd", says("s3cmd", "--version"), ENDPOINT),
    "restic": ("restic", says("restic", "version"), ENDPOINT),
    "aws_sdk_rust": ("AWS SDK for Rust", locked_crate("aws-sdk-s3"), ENDPOINT + ", path style"),
    "aws_sdk_javascript": ("AWS SDK for JavaScript", locked_module("@aws-sdk/client-s3"), ENDPOINT + ", path style"),
    "s3fs": ("s3fs", says("s3fs", "--version"), ENDPOINT + ", path style, region"),
    "duplicity": ("duplicity", says(python_program("duplicity"), "--version"), ENDPOINT),
    "pgbackrest": ("pgBackRest", says("pgbackrest", "version"), ENDPOINT + ", path style, a server name"),
    "barman_cloud": ("barman-cloud", says("barman-cloud-backup", "--version"), ENDPOINT),
}


def write(path, files, large, results):
    """`results` has a row a scenario: its name, and what it says it did or `None` if it failed."""
    lines = ["# Clients", "",
             "<!-- Made by `make conformance`; not written by hand. -->", "",
             f"Each client with its default settings over TLS, on {files} real files and one of {large >> 20} MiB: written,",
             "read back, compared. What it has to be told is in the third column.", "",
             "| client | version | told | what it did |", "|---|---|---|---|"]
    for name, said in ((name, said) for name, said in results if name in CLIENTS):
        client, version, told = CLIENTS[name]
        lines.append(f"| {client} | {version()} | {told} | {said if said is not None else '**failed**'} |")
    pathlib.Path(path).write_text("\n".join(lines) + "\n")

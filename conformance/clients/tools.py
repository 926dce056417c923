"""What the scenarios share."""
import pathlib, subprocess, sys

import boto3


def run(words, environment, check=True, folder=None):
    done = subprocess.run([str(word) for word in words], env=environment, capture_output=True, text=True, cwd=folder)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def s3_client(server):
    """boto3's, for what a scenario needs beside its client."""
    session = boto3.session.Session(server.access_key, server.secret_key, region_name="fr")
    return session.client("s3", endpoint_url=server.endpoint, verify=str(server.ca))


def python_program(name):
    """A program of the virtual environment that this runs in."""
    return pathlib.Path(sys.executable).parent / name

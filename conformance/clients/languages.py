"""SDKs of other languages, with scripts of their own."""
import pathlib

from tools import run

HERE = pathlib.Path(__file__).parent


def aws_sdk_javascript(server, work, large):
    environment = server.environment(NODE_EXTRA_CA_CERTS=str(server.ca), ENDPOINT=server.endpoint, WORK=str(work))
    return run(["node", HERE / "javascript/scenario.mjs"], environment).stdout.strip()


SCENARIOS = (aws_sdk_javascript,)

"""The servers on loopback that the whole platform needs beside MiniStack and the control plane: a repository of charts, what pods
answer, and MiniStack with the versions of EKS add-ons and the weighted forwards of listener rules, which it lacks.

    servers.py FOLDER MINISTACK_URL

FOLDER holds the packaged charts; `servers` is written into it, a line for each server: its name and its URL. Ends with its standard
input.
"""

import html
import http.client
import http.server
import json
import os
import sys
import threading
import urllib.parse

FOLDER, MINISTACK = sys.argv[1], urllib.parse.urlsplit(sys.argv[2])

# As `aws eks describe-addon-versions` lists them for Kubernetes 1.34, of each the newest and the one before.
ADDONS = {
    "vpc-cni": ["v1.21.1-eksbuild.1", "v1.20.4-eksbuild.2"],
    "coredns": ["v1.12.4-eksbuild.1", "v1.12.3-eksbuild.1"],
    "kube-proxy": ["v1.34.1-eksbuild.2", "v1.34.0-eksbuild.2"],
    "aws-ebs-csi-driver": ["v1.54.0-eksbuild.1", "v1.53.0-eksbuild.1"],
    "eks-pod-identity-agent": ["v1.3.10-eksbuild.1", "v1.3.9-eksbuild.3"],
}


class Server(http.server.BaseHTTPRequestHandler):
    """What the servers have in common: connections stay open, and nothing is logged."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Charts(Server):
    """Files of the folder, `index.yaml` among them."""

    def do_GET(self):
        path = os.path.join(FOLDER, os.path.basename(urllib.parse.urlsplit(self.path).path))
        if not os.path.isfile(path):
            return self.answer(404, b"no such chart\n")
        with open(path, "rb") as file:
            self.answer(200, file.read())


class Pods(Server):
    """Every pod is well, whatever it is asked."""

    def do_GET(self):
        self.answer(200, b"ok\n")


class Aws(Server):
    """MiniStack, but for the versions of add-ons, in the form of the EKS API reference (DescribeAddonVersions), and for what rules
    of load balancers forward to."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/addons/supported-versions":
            return self.reply({"addons": [versions(query.get("addonName"), query.get("kubernetesVersion", "1.34"))]})
        if url.path == "/addons/configuration-schemas":
            return self.reply({**{key: query.get(key) for key in ("addonName", "addonVersion")}, "configurationSchema": "{}"})
        self.forward()

    def reply(self, value):
        self.answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])

    def forward(self):
        body = self.body()
        connection = http.client.HTTPConnection(MINISTACK.hostname, MINISTACK.port, timeout=120)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
        told = answer.read()
        if b"<RuleArn>" in told:
            told = with_forwards(dict(urllib.parse.parse_qsl(body.decode())), told.decode()).encode()
        self.answer(answer.status, told, kept)
        connection.close()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = forward

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body


# Headers that are each connection's own; the length is counted anew.
HOP = {"connection", "content-length", "transfer-encoding", "expect", "keep-alive"}


# What rules forward to, by their ARNs, as the answers of the ELB API have it. MiniStack takes a ForwardConfig and forgets it.
FORWARDS = {}
FORWARD = "Actions.member.1.ForwardConfig."


def with_forwards(form, told):
    """Remembers the forward of a rule that is made or changed, and puts those that are remembered into an answer."""
    tree = {}
    for key, value in form.items():
        if key.startswith(FORWARD):
            *path, last = key.removeprefix(FORWARD).split(".")
            node = tree
            for part in path:
                node = node.setdefault(part, {})
            node[last] = value
    first, *rules = told.split("<RuleArn>")
    arns = [rule.split("</RuleArn>")[0] for rule in rules]
    if tree and form.get("Action") in ("CreateRule", "ModifyRule"):
        FORWARDS[arns[0]] = f"<ForwardConfig>{xml(tree)}</ForwardConfig>"
    for at, arn in enumerate(arns):
        rules[at] = rules[at].replace("<Type>forward</Type>", f"<Type>forward</Type>{FORWARDS.get(arn, '')}", 1)
    return "<RuleArn>".join([first, *rules])


def xml(tree):
    """The fields of a form, as an answer has them."""
    if isinstance(tree, str):
        return html.escape(tree)
    if set(tree) == {"member"}:
        return "".join(f"<member>{xml(tree['member'][at])}</member>" for at in sorted(tree["member"], key=int))
    return "".join(f"<{name}>{xml(value)}</{name}>" for name, value in tree.items())


def versions(addon, kubernetes):
    """An add-on with its versions for a version of Kubernetes, the newest first and the default."""
    listed = [
        {
            "addonVersion": version,
            "architecture": ["amd64", "arm64"],
            "compatibilities": [{"clusterVersion": kubernetes, "platformVersions": ["*"], "defaultVersion": at == 0}],
            "requiresConfiguration": False,
        }
        for at, version in enumerate(ADDONS.get(addon, []))
    ]
    return {"addonName": addon, "type": "networking", "addonVersions": listed, "publisher": "eks", "owner": "aws"}


def main():
    lines = []
    for name, kind in (("charts", Charts), ("pods", Pods), ("aws", Aws)):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lines.append(f"{name} http://127.0.0.1:{server.server_port}\n")
    with open(os.path.join(FOLDER, "servers.new"), "w") as file:
        file.writelines(lines)
    os.rename(os.path.join(FOLDER, "servers.new"), os.path.join(FOLDER, "servers"))
    sys.stdin.read()


main()

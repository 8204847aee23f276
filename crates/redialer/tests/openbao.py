"""A real OpenBao server on loopback for the tests: TLS, a transit key, a role for each way to log in.

    openbao.py --bao PATH --dir DIR --policy FILE [--token-ttl 60s] [--token-max-ttl 0]

Prints one line of JSON once it is ready. Then it does what it reads, a word a line, and answers each with one line of JSON:
seal, unseal, stop (SIGSTOP), cont, kill (-9), start, rotate, retire, revoke, denied. Ends everything with its input.
Needs nothing but the standard library, the `bao` binary and `openssl`.
"""

import argparse
import base64
import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

HOST = "127.0.0.1"
KEY = "redialer"
POD = {"namespace": "redialer", "serviceaccount": {"name": "redialer", "uid": "7e3a1c52-5d0e-4a55-9d56-0c5b8a3f1d10"}}
POD_NAME = "system:serviceaccount:redialer:redialer"
ISSUER = "https://issuer.example"


def run(*words, data=None):
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def write(path, text):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)
    return path


class Files:
    """Certificates, a key to sign tokens with, the server's settings."""

    def __init__(self, folder, port):
        self.path = lambda name: os.path.join(folder, name)
        self.certificates()
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path("jwt.key"))
        self.public = run("openssl", "pkey", "-in", self.path("jwt.key"), "-pubout").decode()
        now = int(time.time())
        times = {"iat": now, "nbf": now - 5, "exp": now + 3600}
        self.jwt = self.signed(dict(times, iss=ISSUER, sub="redialer-1", aud="redialer"))
        self.pod_jwt = self.signed(dict(times, iss="https://kubernetes.default.svc", aud=["redialer"], sub=POD_NAME, **{"kubernetes.io": POD}))
        os.mkdir(self.path("data"))
        address, cluster = "%s:%d" % (HOST, port), "%s:%d" % (HOST, free_port())
        listener = {"address": address, "cluster_address": cluster, "tls_cert_file": self.path("server.pem"), "tls_key_file": self.path("server.key")}
        storage = {"path": self.path("data"), "node_id": "n1", "performance_multiplier": 1}
        write(self.path("bao.json"), json.dumps({
            "storage": {"raft": storage}, "listener": {"tcp": listener}, "api_addr": "https://" + address, "cluster_addr": "https://" + cluster,
        }))

    def certificates(self):
        """A root, and a server's certificate that it signed."""
        for name in ("ca", "server"):
            run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", write(self.path(name + ".key"), ""))
        write(self.path("ca.cnf"), "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\nCN=test root\n[v3]\n"
              "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n")
        write(self.path("server.cnf"), "[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=127.0.0.1\n[v3]\nbasicConstraints=critical,CA:FALSE\n"
              "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n"
              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        run("openssl", "req", "-x509", "-new", "-sha256", "-days", "30", "-config", self.path("ca.cnf"), "-key", self.path("ca.key"), "-out", self.path("ca.pem"))
        run("openssl", "req", "-new", "-sha256", "-config", self.path("server.cnf"), "-key", self.path("server.key"), "-out", self.path("server.csr"))
        run("openssl", "x509", "-req", "-sha256", "-days", "30", "-in", self.path("server.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
            "-CAcreateserial", "-extfile", self.path("server.cnf"), "-extensions", "v3", "-out", self.path("server.pem"))

    def signed(self, claims):
        part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        text = part(json.dumps({"alg": "RS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
        return text + "." + part(run("openssl", "dgst", "-sha256", "-sign", self.path("jwt.key"), data=text.encode()))


def review_tokens(files):
    """What a Kubernetes API answers when it is asked whose token that is; its port."""

    class Reviews(http.server.BaseHTTPRequestHandler):
        def log_message(self, *words):
            pass

        def do_POST(self):
            spec = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["spec"]
            status = {"authenticated": spec["token"] == files.pod_jwt}
            if status["authenticated"]:
                status["user"] = {"username": POD_NAME, "uid": POD["serviceaccount"]["uid"], "groups": ["system:serviceaccounts"]}
                status["audiences"] = spec.get("audiences", [])
            body = json.dumps({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": spec, "status": status}).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer((HOST, 0), Reviews)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.path("server.pem"), files.path("server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Bao:
    def __init__(self, words):
        self.words, self.port, self.token, self.unseal_key = words, free_port(), None, None
        self.files = Files(words.dir, self.port)
        self.trust = ssl.create_default_context(cafile=self.files.path("ca.pem"))

    def ask(self, method, path, body=None, token=None):
        connection = http.client.HTTPSConnection(HOST, self.port, context=self.trust, timeout=30)
        headers = {"X-Vault-Token": token or self.token} if token or self.token else {}
        try:
            connection.request(method, "/v1/" + path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def must(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        if status not in (200, 204):
            raise RuntimeError("%s %s: %d %s" % (method, path, status, answer))
        return answer

    def until(self, holds):
        for _ in range(1500):
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.02)
        raise RuntimeError("the server did not come up")

    def launch(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("BAO_", "VAULT_"))}
        with open(self.files.path("server.log"), "ab") as log:
            self.process = subprocess.Popen([self.words.bao, "server", "-config=" + self.files.path("bao.json")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.until(lambda: self.ask("GET", "sys/seal-status")[0] == 200)

    def unseal(self):
        self.must("POST", "sys/unseal", {"key": self.unseal_key})
        self.until(lambda: self.ask("GET", "sys/health")[0] == 200)

    def begin(self):
        self.launch()
        made = self.must("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.unseal_key, token = made["keys_base64"][0], made["root_token"]
        self.unseal()
        self.token = token
        self.must("POST", "sys/mounts/transit", {"type": "transit"})
        self.must("POST", "transit/keys/" + KEY, {"type": "aes256-gcm96"})
        with open(self.words.policy) as f:
            self.must("PUT", "sys/policies/acl/redialer", {"policy": f.read()})
        return self.roles()

    def roles(self):
        role = {"token_policies": ["redialer"], "token_no_default_policy": True, "token_ttl": self.words.token_ttl, "token_max_ttl": self.words.token_max_ttl}
        for kind in ("approle", "jwt", "kubernetes"):
            self.must("POST", "sys/auth/" + kind, {"type": kind})
        self.must("POST", "auth/approle/role/redialer", role)
        self.must("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [self.files.public], "bound_issuer": ISSUER})
        self.must("POST", "auth/jwt/role/redialer", dict(role, role_type="jwt", bound_audiences=["redialer"], user_claim="sub"))
        with open(self.files.path("ca.pem")) as f:
            self.must("POST", "auth/kubernetes/config", {"kubernetes_host": "https://%s:%d" % (HOST, review_tokens(self.files)), "kubernetes_ca_cert": f.read(), "disable_local_ca_jwt": True})
        self.must("POST", "auth/kubernetes/role/redialer", dict(role, bound_service_account_names=["redialer"], bound_service_account_namespaces=["redialer"], audience="redialer"))
        token = self.must("POST", "auth/token/create", {"policies": ["redialer"], "no_default_policy": True, "ttl": "1h"})
        return {
            "address": "https://%s:%d" % (HOST, self.port),
            "ca": self.files.path("ca.pem"),
            "role_id": self.must("GET", "auth/approle/role/redialer/role-id")["data"]["role_id"],
            "secret_id": self.must("POST", "auth/approle/role/redialer/secret-id", {})["data"]["secret_id"],
            "token": token["auth"]["client_token"],
            "jwt_file": write(self.files.path("token.jwt"), self.files.jwt),
            "pod_jwt_file": write(self.files.path("pod.jwt"), self.files.pod_jwt + "\n"),
        }

    def denied(self):
        """What our policy must not allow, each with the status that was answered."""
        token = self.must("POST", "auth/token/create", {"policies": ["redialer"], "no_default_policy": True, "ttl": "1m"})["auth"]["client_token"]
        tried = [
            ("GET", "transit/keys/redialer"), ("POST", "transit/keys/redialer/rotate"), ("POST", "transit/keys/other"), ("DELETE", "transit/keys/redialer"),
            ("POST", "transit/keys/redialer/config"), ("GET", "transit/export/encryption-key/redialer"), ("GET", "transit/backup/redialer"),
            ("POST", "transit/encrypt/other"), ("POST", "transit/decrypt/other"), ("POST", "transit/rewrap/redialer"), ("POST", "transit/sign/redialer"),
            ("POST", "transit/datakey/plaintext/redialer"), ("GET", "sys/mounts"), ("PUT", "sys/seal"), ("POST", "sys/mounts/x"), ("GET", "auth/token/lookup-self"),
            ("POST", "auth/token/create"), ("GET", "sys/policies/acl/redialer"), ("POST", "auth/approle/role/redialer/secret-id"), ("GET", "secret/data/x"),
        ]
        return {"%s %s" % (method, path): self.ask(method, path, {} if method in ("POST", "PUT") else None, token)[0] for method, path in tried}

    def do(self, word):
        if word == "seal":
            self.must("PUT", "sys/seal")
        elif word == "unseal":
            self.unseal()
        elif word in ("stop", "cont"):
            self.process.send_signal(signal.SIGSTOP if word == "stop" else signal.SIGCONT)
        elif word == "kill":
            self.process.kill()
            self.process.wait()
        elif word == "start":
            self.launch()
            self.unseal()
        elif word == "rotate":
            self.must("POST", "transit/keys/redialer/rotate")
        elif word == "retire":
            latest = self.must("GET", "transit/keys/redialer")["data"]["latest_version"]
            self.must("POST", "transit/keys/redialer/config", {"min_decryption_version": latest})
        elif word == "revoke":
            for kind in ("approle", "jwt", "kubernetes", "token/create"):
                self.must("PUT", "sys/leases/revoke-prefix/auth/" + kind)
        elif word == "denied":
            return self.denied()
        else:
            raise RuntimeError("no such word: " + word)
        return {}


def main():
    words = argparse.ArgumentParser(description=__doc__)
    for name in ("--bao", "--dir", "--policy"):
        words.add_argument(name, required=True)
    words.add_argument("--token-ttl", default="60s")
    words.add_argument("--token-max-ttl", default="0")
    bao = Bao(words.parse_args())
    say = lambda answer: print(json.dumps(answer), flush=True)
    try:
        say(bao.begin())
        for line in sys.stdin:
            say(bao.do(line.strip()))
    finally:
        bao.process.send_signal(signal.SIGCONT)
        bao.process.kill()
        bao.process.wait()


if __name__ == "__main__":
    main()

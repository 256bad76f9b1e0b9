"""A redis-server of a test's own, on a unix socket or a free port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIMIT = 60


def free_ports(number):
    """Ports that nobody has right now, no two the same."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(number):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found


def free_port():
    return free_ports(1)[0]


def until(condition, what, limit=LIMIT, every=0.01):
    """Waits until `condition` holds, which it asks again after `every` seconds; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}")
        time.sleep(every)


class Certificates:
    """An authority and what it signs, in a folder."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="deferd-tls-")
        self.ca = os.path.join(self.folder, "ca.pem")
        self.openssl("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-keyout", self.key(self.ca), "-out", self.ca,
                     "-days", "2", "-subj", "/CN=deferd test authority")

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=LIMIT)

    @staticmethod
    def key(path):
        return path.replace(".pem", ".key")

    def sign(self, name, names="IP:127.0.0.1"):
        """The path of another certificate; its key is beside it."""
        path = os.path.join(self.folder, f"{name}.pem")
        request, extensions = path + ".csr", path + ".ext"
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={names}\n")
        self.openssl("req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-keyout", self.key(path), "-out", request,
                     "-subj", f"/CN={name}")
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key(self.ca),
                     "-CAcreateserial", "-days", "1", "-extfile", extensions, "-out", path)
        return path

    def files(self, name):
        """Redis' settings for one of these certificates."""
        path = self.sign(name)
        return ["--tls-cert-file", path, "--tls-key-file", self.key(path),
                "--tls-ca-cert-file", self.ca, "--tls-auth-clients", "no",
                "--tls-replication", "yes"]

    def remove(self):
        shutil.rmtree(self.folder)


class RedisCluster:
    """Masters who have all slots in equal shares, each with a replica."""

    def __init__(self, masters=3):
        self.masters = masters
        self.servers = []
        for _ in range(2 * masters):
            port, bus = free_ports(2)
            server = Redis("--cluster-enabled", "yes", "--cluster-port", str(bus),
                           "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0",
                           port=port)
            server.bus = bus
            self.servers.append(server)
        for number, server in enumerate(self.servers):
            server.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            if number < masters:
                first, end = (16384 * n // masters for n in (number, number + 1))
                server.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for server in self.servers[1:]:
            self.servers[0].cli("CLUSTER", "MEET", "127.0.0.1", str(server.port), str(server.bus))
        until(lambda: all(f"cluster_known_nodes:{2 * masters}" in said and "cluster_state:ok" in said
                          for said in (one.cli("CLUSTER", "INFO") for one in self.servers)),
              "the servers know one another")
        for master, replica in zip(self.servers, self.servers[masters:]):
            name = master.cli("CLUSTER", "MYID").strip()
            until(lambda r=replica, n=name: "OK" in r.cli("CLUSTER", "REPLICATE", n),
                  "the replica knows its master")
            until(lambda r=replica: "master_link_status:up" in r.cli("INFO", "replication"),
                  "replicated")
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in self.servers[:3])

    def master_of(self, key):
        slot = int(self.servers[0].cli("CLUSTER", "KEYSLOT", key))
        return self.servers[next(n for n in range(self.masters) if slot < 16384 * (n + 1) // self.masters)]

    def replica_of(self, master):
        return self.servers[self.masters + self.servers.index(master)]

    def remove(self):
        for server in self.servers:
            server.remove()


class Redis:
    """One server. `port` 0: a unix socket alone. `program`: redis-sentinel for a sentinel. `tls`:
    the authority of its certificate; the port is encrypted then."""

    def __init__(self, *arguments, port=0, program="redis-server", config=None, tls=None):
        self.folder = tempfile.mkdtemp(prefix="deferd-redis-")
        self.port = port
        self.socket = os.path.join(self.folder, "redis.sock")
        self.command = [program]
        if config is not None:
            path = os.path.join(self.folder, "redis.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            self.command.append(path)
        self.tls = tls
        self.command += ["--tls-port" if tls else "--port", str(port), "--dir", self.folder,
                         "--daemonize", "no"]
        if tls:
            self.command += ["--port", "0", *tls.files(f"server-{port}")]
        if program == "redis-server":
            self.command += ["--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        self.command += arguments
        self.process = None
        self.start()

    @property
    def url(self):
        if self.tls:
            return f"rediss://127.0.0.1:{self.port}"
        return f"redis://127.0.0.1:{self.port}" if self.port else f"redis+unix://{self.socket}"

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        log.close()
        until(lambda: self.cli("PING").startswith(("PONG", "NOAUTH", "LOADING")),
              "redis-server answers")

    def cli(self, *arguments):
        """What redis-cli prints."""
        where = ["-p", str(self.port)] if self.port else ["-s", self.socket]
        if self.tls:
            where += ["--tls", "--cacert", self.tls.ca]
        done = subprocess.run(["redis-cli", *where, *arguments], capture_output=True, text=True,
                              errors="replace", timeout=LIMIT, check=False)
        return done.stdout + done.stderr

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)

    def remove(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)

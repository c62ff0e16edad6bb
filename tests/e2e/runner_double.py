"""A stand-in for the runner: a private directory, the environment of the executor contract, and a
socket that takes RESULT and PROGRESS requests as the contract says."""
import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('BUILD', TOP / 'build'))
if not BUILD.is_absolute():
    BUILD = TOP / BUILD

HEAD = re.compile(
    r'(?:RESULT ([0-9a-f-]{36}) ([a-z][a-z0-9_]{0,62}) (set|append) (plain|secret)|PROGRESS)'
    r' ([1-9][0-9]{0,5})\n\Z')
# Debian's tools first; Terraform may live anywhere.
PATH = ':'.join(['/usr/sbin:/usr/bin:/sbin:/bin'] + [
    os.path.dirname(tool) for tool in [shutil.which('terraform')] if tool])
VALUE_MAX = 65536
OPERATION = '0190a5c0-0000-7000-8000-000000000001'
TASK = '0190a5c0-0000-7000-8000-000000000002'
TARGET = '0190a5c0-0000-7000-8000-000000000003'


class Requests(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline(4096).decode('ascii')
            if not line:
                return
            match = HEAD.match(line)
            if not match:
                self.server.broken.append(line)
                self.wfile.write(b'ERR grammar\n')
                return
            raw = self.rfile.read(int(match[5]))
            if len(raw) > VALUE_MAX:
                self.wfile.write(b'ERR value is too long\n')
                continue
            self.wfile.write(self.server.take(match, raw).encode())


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        self.results, self.progress, self.broken, self.raw = [], [], [], []
        self.refuse = None
        super().__init__(path, Requests)

    def take(self, match, raw):
        self.raw.append(raw)
        value = json.loads(raw)
        if match[1] is None:
            self.progress.append(value)
            return 'OK\n'
        if self.refuse:
            return 'ERR %s\n' % self.refuse
        self.results.append({'entity': match[1], 'field': match[2], 'mode': match[3],
                             'secret': match[4] == 'secret', 'value': value})
        return 'OK\n'


class Attempt:
    """One attempt: files are written, `run` starts the executor, the rest looks at the outcome."""

    def __init__(self, executor, spec, roots, inputs=None, target=TARGET, outputs=None, env=None):
        # deep on purpose: the socket's path does not fit into sun_path
        self.top = Path(tempfile.mkdtemp(prefix='hler-attempt-'))
        self.dir = self.top / ('spool-' + 'x' * 60) / (TASK + '.1.0123456789abcdef')
        self.work = self.dir / 'work'
        self.work.mkdir(parents=True)
        self.outputs_file = self.dir / 'outputs'
        self.program = BUILD / 'libexec/executors' / executor
        variables = {'operation': OPERATION, 'type': 'test.run', 'task': TASK, 'name': 'one',
                     'attempt': 1, 'try': 1, 'target': target, 'requester': 'frontend',
                     'inputs': inputs or {}, 'outputs': outputs or {}}
        self.env = {
            'PATH': PATH,
            'HOME': str(self.work / 'home'), 'TMPDIR': str(self.work / 'tmp'),
            'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8', 'HLER_API': '1',
            'HLER_OPERATION': OPERATION, 'HLER_TASK': TASK, 'HLER_TYPE': 'test.run',
            'HLER_NAME': 'one', 'HLER_ATTEMPT': '1', 'HLER_TRY': '1', 'HLER_TARGET': target or '',
            'HLER_SPEC': self._file('spec.json', spec), 'HLER_VARS': self._file('v.json', variables),
            'HLER_OUTPUTS': str(self.outputs_file), 'HLER_SOCKET': str(self.dir / 'emit'),
            'HLER_ROOTS': ':'.join(map(str, roots)), 'HLER_STATE': str(self.top / 'state'),
            'HLER_COLLECTIONS': str(self.top / 'collections'),
        }
        self.env.update(env or {})
        (self.top / 'state').mkdir(mode=0o700)
        (self.top / 'collections/ansible_collections').mkdir(parents=True)
        os.symlink(TOP / 'worker/executors/collection/aegir',
                   self.top / 'collections/ansible_collections/aegir')
        folder = os.open(self.dir, os.O_PATH)
        try:
            self.server = Server('/proc/self/fd/%d/emit' % folder)
        finally:
            os.close(folder)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _file(self, name, value):
        path = self.dir / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        path.chmod(0o600)
        return str(path)

    def start(self):
        self.process = subprocess.Popen(
            [str(self.program), 'run'], cwd=self.work, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def finish(self, timeout=120):
        try:
            self.stdout, self.stderr = self.process.communicate(timeout=timeout)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.code = self.process.returncode
        return self

    def run(self):
        return self.start().finish()

    def wait_for(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, 'no ' + what
            assert self.process.poll() is None, 'ended before ' + what
            time.sleep(0.02)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.top)

    @property
    def message(self):
        return self.stderr.rstrip('\n').split('\n')[-1]

    def _lines(self):
        if not self.outputs_file.exists():
            return []
        return [json.loads(line) for line in self.outputs_file.read_text().splitlines()]

    @property
    def outputs(self):
        return {line['field']: line['value'] for line in self._lines() if 'field' in line}

    @property
    def cause(self):
        causes = [line['cause'] for line in self._lines() if 'cause' in line]
        return causes[-1] if causes else None

    @property
    def results(self):
        return {r['field']: r['value'] for r in self.server.results}

    def events(self, name):
        return [p for p in self.server.progress if p['event'] == name]

    @property
    def everything(self):
        """All that left the attempt, but for results: log, events, outputs."""
        sent = b''.join(r for r in self.server.raw if b'"kind"' in r).decode()
        outputs = self.outputs_file.read_text() if self.outputs_file.exists() else ''
        return self.stdout + self.stderr + sent + outputs

"""Front ends: submit and cancel as the plan says, and keep what they saw: ok, refused, or unknown (the connection was
lost; it may have happened)."""
import json
import threading
import time
import uuid

import psycopg2

import plan

NAMESPACE = uuid.UUID("6f7a3c52-1d0b-4b8e-9a55-0f1f6c0ffee0")
SUBMIT = "INSERT INTO hler.operation (id, type, inputs, target, idempotency_key, priority) VALUES (%s, %s, %s, %s, %s, %s)"
CLIENTS = 8
BURST_PRIORITY = 100 # what an injector waits for comes first


def burst_of(no, count, steps, kind):
    inputs = (("steps", steps), ("pause", "0.5"), ("bulk", 0), ("code", 0))
    return [plan.Request(f"{no}.{n}", 0.0, kind, inputs, -1.0, True) for n in range(count)]


class Load:
    def __init__(self, stack, seed, requests):
        self.stack, self.seed, self.requests = stack, seed, list(requests)
        self.history = {} # operation -> what its client saw
        self.lock = threading.Lock()
        self.threads = []

    def start(self, began):
        self.threads = [threading.Thread(target=self.client, args=(began, self.requests[n::CLIENTS])) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def burst(self, no, count=12, steps=3, kind="chaos.again"):
        """Some more operations at once, of a repeatable type, for an injector that needs something to hit."""
        requests = burst_of(no, count, steps, kind)
        self.all_at_once(self.submit, requests)
        return requests

    def commit_together(self, no, count, kind):
        """A burst in one transaction, so that all its tasks are ready at the same moment; empty when that failed."""
        requests = burst_of(no, count, 3, kind)
        entries = [self.entry(r) for r in requests]
        try:
            connection = self.stack.connect("frontend")
            connection.autocommit = False
            for request, entry in zip(requests, entries):
                self.submit(connection, self.operation(request), request, entry)
            connection.commit()
            connection.close()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            for entry in entries:
                entry["submit"] = "unknown"
            return []
        return requests

    def workers_of(self, requests, state):
        """Workers that have attempts of a burst in that state."""
        return self.workers("SELECT DISTINCT a.worker FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task"
                            " WHERE t.operation = ANY (%s::uuid[]) AND a.state = %s",
                            [self.operation(r) for r in requests], state)

    def moved(self, requests, worker):
        """Workers where tasks of a burst run that have run on that one before."""
        return self.workers("SELECT a.worker FROM hler.attempt AS a JOIN hler.task AS t ON t.id = a.task"
                            " WHERE t.operation = ANY (%s::uuid[]) AND a.state = 'started' AND EXISTS (SELECT FROM hler.attempt AS b"
                            " WHERE b.task = a.task AND b.attempt < a.attempt AND b.worker = %s AND b.started_at IS NOT NULL)",
                            [self.operation(r) for r in requests], worker)

    def claims_ahead(self, worker):
        """True: the tables hold a claim made ahead by that worker."""
        return worker in self.workers("SELECT worker FROM hler.standing_claim WHERE claimed_at > clock_timestamp() - interval '500 ms'")

    def workers(self, query, *args):
        """None while the database is away."""
        try:
            with self.stack.connect("migrate") as connection, connection.cursor() as cursor:
                cursor.execute(query, args)
                return {row[0] for row in cursor.fetchall()}
        except psycopg2.Error:
            return set()

    def operation(self, request):
        return str(uuid.uuid5(NAMESPACE, f"{self.seed} {request.no}"))

    def cancel_all(self, requests):
        """Those of a burst."""
        self.all_at_once(self.cancel, requests)

    def all_at_once(self, act, requests):
        connection = None
        for request in requests:
            connection = self.attempt(connection, act, request)
        if connection is not None:
            connection.close()

    def client(self, began, requests):
        """One front end: its steps, in order of time, on a connection that it opens again when it is lost."""
        steps = [(r.at, self.submit, r) for r in requests]
        steps += [(r.at + r.cancel_after, self.cancel, r) for r in requests if r.cancel_after >= 0]
        connection = None
        for at, act, request in sorted(steps, key=lambda s: s[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            connection = self.attempt(connection, act, request)
        if connection is not None:
            connection.close()

    def entry(self, request):
        return self.history.setdefault(self.operation(request), {"no": request.no, "type": request.type, "inputs": dict(request.inputs),
                                                                 "submit": "none", "cancel": "none"})

    def attempt(self, connection, act, request):
        """Returns the connection if it still lives."""
        operation, entry = self.operation(request), self.entry(request)
        for _ in range(40):
            try:
                if connection is None or connection.closed:
                    connection = self.stack.connect("frontend")
                act(connection, operation, request, entry)
                return connection
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                connection = None
                entry["submit" if act == self.submit else "cancel"] = "unknown"
                if not request.again_on_unknown:
                    return None
                time.sleep(0.5)
        return None

    def submit(self, connection, operation, request, entry):
        with connection.cursor() as cursor:
            try:
                cursor.execute(SUBMIT, (operation, request.type, json.dumps(dict(request.inputs)), operation, f"chaos-{request.no}",
                                        0 if isinstance(request.no, int) else BURST_PRIORITY))
            except psycopg2.errors.UniqueViolation:
                pass # the one whose answer was lost
        entry["submit"] = "ok"

    def cancel(self, connection, operation, _request, entry):
        with connection.cursor() as cursor:
            try:
                cursor.execute("SELECT hler.cancel(%s, reason => 'chaos')", (operation,))
                entry["cancel"] = cursor.fetchone()[0]
            except psycopg2.Error as error:
                if error.pgcode is None or not error.pgcode.startswith("HL"):
                    raise
                entry["cancel"] = error.pgcode

"""Least rights: each denial of each broker user and each database role."""
import uuid

import pika
import psycopg2
import pytest

WORKER_DENIED = {
    "declare a queue": lambda c: c.queue_declare("anything"),
    "declare another's control queue": lambda c: c.queue_declare("hler.control.worker-2.x", exclusive=True),
    "declare an exchange": lambda c: c.exchange_declare("mine"),
    "bind": lambda c: c.queue_bind("hler.state", "hler.results", "#"),
    "delete a queue": lambda c: c.queue_delete("hler.state"),
    "read states": lambda c: c.basic_get("hler.state"),
    "read signs of life": lambda c: c.basic_get("hler.life"),
    "read output": lambda c: c.basic_get("hler.output"),
    "read claims": lambda c: c.basic_get("hler.claims"),
    "read the dead": lambda c: c.basic_get("hler.dead"),
    "purge states": lambda c: c.queue_purge("hler.state"),
    "offer": lambda c: publish(c, "hler.tasks", "default"),
    "write straight into a queue": lambda c: publish(c, "", "hler.state"),
    "speak for another": lambda c: publish(c, "hler.results", f"worker-2.attempt.started.x.{uuid.uuid4()}.{uuid.uuid4()}"),
    "give verdicts": lambda c: publish(c, "hler.results", f"dispatcher.task.succeeded.x.{uuid.uuid4()}.{uuid.uuid4()}"),
    "claim another identity": lambda c: publish(c, "hler.claims", "claim", user_id="worker-2"),
    "write to the dead": lambda c: publish(c, "hler.dead", ""),
}
DISPATCHER_DENIED = {
    "declare a queue": lambda c: c.queue_declare("anything"),
    "declare an exchange": lambda c: c.exchange_declare("mine"),
    "bind": lambda c: c.queue_bind("hler.state", "hler.results", "#"),
    "read offers": lambda c: c.basic_get("hler.tasks.default"),
    "speak for a worker": lambda c: publish(c, "hler.results", f"worker-1.attempt.started.x.{uuid.uuid4()}.{uuid.uuid4()}"),
    "claim": lambda c: publish(c, "hler.claims", "claim"),
}
LISTENER_DENIED = {
    "declare a queue": lambda c: c.queue_declare("hler.listen.other"),
    "read states": lambda c: c.basic_get("hler.state"),
    "read another's feed": lambda c: c.basic_get("hler.listen.other"),
    "bind its own": lambda c: c.queue_bind("hler.listen.stack", "hler.results", "#"),
    "publish events": lambda c: publish(c, "hler.results", "listener-stack.attempt.started.x.y.z"),
    "write straight into a queue": lambda c: publish(c, "", "hler.state"),
    "delete its queue": lambda c: c.queue_delete("hler.listen.stack"),
}


def publish(channel, exchange, key, user_id=None):
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(user_id=user_id), mandatory=True)


def assert_denied(channel, act):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
        act(channel)
    assert caught.value.reply_code in (403, 406), caught.value


@pytest.mark.parametrize("what", WORKER_DENIED)
def test_a_worker_may_not(stack, what):
    assert_denied(stack.amqp("worker_1"), WORKER_DENIED[what])


@pytest.mark.parametrize("what", DISPATCHER_DENIED)
def test_a_dispatcher_may_not(stack, what):
    assert_denied(stack.amqp("dispatcher"), DISPATCHER_DENIED[what])


@pytest.mark.parametrize("what", LISTENER_DENIED)
def test_a_listener_may_not(stack, what):
    stack.hler("listener", "add", "other", code=None) # there from the first of these tests on
    connection = pika.BlockingConnection(pika.URLParameters(stack.env["HLER_LISTENER_URL"]))
    assert_denied(connection.channel(), LISTENER_DENIED[what])


def test_nobody_else_may_connect(stack):
    for user in ("guest:guest", "worker-1:wrong", "nobody:"):
        url = f"amqp://{user}@" + stack.env["HLER_AMQP_URL_DISPATCHER"].split("@")[1]
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(pika.URLParameters(url))


FRONTEND_DENIED = [
    "UPDATE hler.operation SET type = 'x'",
    "DELETE FROM hler.operation",
    "TRUNCATE hler.operation",
    "INSERT INTO hler.operation (type, inputs, requester) VALUES ('test.true', '{}', 'somebody')",
    "SELECT hler_core.catalog_apply('{}')",
    "SELECT hler_core.listener_register('x', NULL)",
    "SELECT * FROM hler_core.offer_due('x', 1)",
    "SELECT hler_core.tick(now(), 1, 1)",
    "SELECT * FROM hler.dead_message",
    "CREATE TABLE hler.mine (x int)",
    "CREATE FUNCTION hler.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE public.mine (x int)",
    "SET ROLE hler_operator",
    "SET ROLE hler_owner",
    "CREATE ROLE mine",
    "DROP SCHEMA hler CASCADE",
]
DISPATCHER_ROLE_DENIED = [
    "INSERT INTO hler.operation (type, inputs) VALUES ('test.true', '{}')",
    "UPDATE hler.operation SET type = 'x'",
    "DELETE FROM hler.operation",
    "SELECT hler.cancel(NULL)",
    "SELECT hler_core.catalog_apply('{}')",
    "SELECT hler_core.listener_register('x', NULL)",
    "CREATE TABLE hler_core.mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "SET ROLE hler_owner",
]
OPERATOR_DENIED = [
    "UPDATE hler.operation SET type = 'x'",
    "DELETE FROM hler.operation",
    "SELECT * FROM hler_core.offer_due('x', 1)",
    "SELECT hler_core.tick(now(), 1, 1)",
    "SELECT * FROM hler_core.grant_claims('{}', '{}', '{}', '{}', '{}', '{}', '{}')",
    "CREATE TABLE hler.mine (x int)",
    "SET ROLE hler_owner",
    "CREATE ROLE mine",
]


@pytest.mark.parametrize("role, statement", [(r, s) for r, list_ in (("frontend", FRONTEND_DENIED),
                                                                    ("dispatcher", DISPATCHER_ROLE_DENIED),
                                                                    ("operator", OPERATOR_DENIED)) for s in list_])
def test_a_role_may_not(stack, role, statement):
    with pytest.raises(psycopg2.Error) as caught:
        stack.sql(statement, role=role)
    assert caught.value.pgcode in ("42501", "HL001"), (caught.value.pgcode, caught.value)


def test_a_front_end_sees_its_own_requests_only(stack):
    stack.sql("""DO $$ BEGIN
                   IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'neighbour') THEN
                     CREATE ROLE neighbour LOGIN PASSWORD 'neighbour' IN ROLE hler_frontend;
                   END IF; END $$""", role="migrate")
    dsn = stack.env["HLER_FRONTEND_DSN"].split(" user=")[0] + " user=neighbour password=neighbour"
    target = uuid.uuid4()
    done = stack.run("test.shell", {"script": "echo hi; hler-emit a 1"}, target=target)
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        for view, key in (("operations", "id"), ("tasks", "operation"), ("attempts", "operation"), ("events", "operation"),
                          ("output", "operation"), ("output_lines", "operation"), ("results", "operation"),
                          ("result_history", "operation")):
            cursor.execute(f"SELECT count(*) FROM hler.{view} WHERE {key} = %s", (done["id"],))
            assert cursor.fetchone() == (0,), view
        cursor.execute("SELECT count(*) FROM hler.operation WHERE id = %s", (done["id"],))
        assert cursor.fetchone() == (0,)
        for call in ("hler.cancel(%s)", "hler.retry(%s)"):
            cursor.execute("SAVEPOINT before")
            with pytest.raises(psycopg2.Error) as caught:
                cursor.execute(f"SELECT {call}", (done["id"],))
            assert caught.value.pgcode == "HL404", caught.value
            cursor.execute("ROLLBACK TO before")
    stack.assert_complete(done["id"]) # output may arrive after the end
    assert stack.one("SELECT count(*) FROM hler.output WHERE operation = %s", done["id"], role="frontend") == 1

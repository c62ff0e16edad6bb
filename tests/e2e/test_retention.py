"""Retention by a running dispatcher: what is old goes, and only that, while work goes on."""
from stack import wait_for

OLD = "now() - interval '40 days'"


def test_what_is_old_goes_by_itself(one_worker):
    stack = one_worker
    old, young = stack.run("test.true")["id"], stack.run("test.shell", {"script": "echo said"})["id"]
    admin = {"role": "migrate"}
    day = stack.one("SELECT ((now() AT TIME ZONE 'UTC')::date - 40)::text AS day", **admin)
    part = "event_" + day.replace("-", "")
    stack.sql(f"CREATE TABLE hler.{part} PARTITION OF hler.event FOR VALUES FROM ('{day}') TO (date '{day}' + 1)", **admin)
    stack.sql(f"ALTER TABLE hler.{part} OWNER TO hler_owner", **admin)
    stack.sql(f"UPDATE hler.operation SET finished_at = {OLD}, created_at = {OLD} WHERE id = %s", old, **admin)
    stack.sql("SELECT hler_core.dead_letter('q', 'bad_json', '{}', 'x')", **admin)
    stack.sql(f"UPDATE hler.dead_message SET last_at = {OLD}", **admin)

    def left():
        return {"day": stack.one("SELECT to_regclass(%s) IS NOT NULL", f"hler.{part}", **admin),
                "old": stack.one("SELECT count(*) FROM hler.operation WHERE id = %s", old, **admin),
                "verdicts": stack.one("SELECT count(*) FROM hler.verdict", **admin), # an operation stays until they are out
                "dead": stack.one("SELECT count(*) FROM hler.dead_message", **admin)}

    stack.restart("dispatcher-1") # it looks when it starts, then each minute
    stack.run("test.true")
    wait_for(lambda: left()["verdicts"] == 0, timeout=20, what="verdicts that were under way when the dispatcher ended")
    assert left() == {"day": True, "old": 1, "verdicts": 0, "dead": 1}, "not before an operator says so"
    for name in ("output_keep_days", "operation_keep_days", "dead_keep_days"):
        stack.hler("setting", "set", name, "30")
    reader = stack.connect("migrate")
    reader.autocommit = False
    reader.cursor().execute("SELECT count(*) FROM hler.event") # a day in use holds up nothing else
    stack.restart("dispatcher-1")
    wait_for(lambda: left()["old"] + left()["dead"] == 0, timeout=60, what="retention")
    assert left()["day"]
    reader.close()
    wait_for(lambda: not left()["day"], timeout=30, what="the day that was in use, asked for before a minute has gone")
    assert stack.run("test.true")["state"] == "succeeded"
    assert stack.operation(young)["state"] == "succeeded"
    assert stack.output(young) == b"said\n"

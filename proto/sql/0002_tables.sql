-- The tables.  Only functions and triggers of hler_owner write them; front ends insert
-- into hler.operation (0004).  States are text and move along hler_core.transition (0003).
SET LOCAL ROLE hler_owner;

-- What the partial indexes of tasks and attempts go by (see there).  PL/pgSQL, since an expression is made ready anew in each
-- statement, and one of some length takes longer than a call.
CREATE FUNCTION hler_core.task_phase(state text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN state IN ('ready', 'waiting', 'held') THEN state END;
END $$;
CREATE FUNCTION hler_core.attempt_phase(state text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN state = 'offered' THEN 'offered' WHEN state IN ('granted', 'started', 'lost') THEN 'taken' END;
END $$;

-- Operation types are (name, version) and never change once there (0003).
CREATE TABLE hler.operation_type (
    name        text NOT NULL,
    version     integer NOT NULL,
    description text NOT NULL,
    definition  json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (name, version)
);

CREATE TABLE hler.field (
    type          text NOT NULL,
    version       integer NOT NULL,
    name          text NOT NULL,
    kind          text NOT NULL,
    required      boolean NOT NULL,
    default_value json,
    min           numeric,
    max           numeric,
    one_of        jsonb,
    max_length    integer,
    pattern       text,
    PRIMARY KEY (type, version, name),
    FOREIGN KEY (type, version) REFERENCES hler.operation_type
);

CREATE TABLE hler.pool (
    name         text PRIMARY KEY,
    -- Latest offer of the pool that was ever granted: older ones still unclaimed were
    -- passed over or lost by the broker (reoffer_due).
    granted_upto timestamptz,
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE TABLE hler.task_type (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type           text NOT NULL,
    version        integer NOT NULL,
    no             smallint NOT NULL,
    name           text NOT NULL,
    executor       text NOT NULL,
    pool           text NOT NULL REFERENCES hler.pool,
    spec           json NOT NULL,
    deadline_ms    bigint NOT NULL,
    idle_ms        bigint NOT NULL,
    grace_ms       bigint NOT NULL,
    output_bytes   bigint NOT NULL,
    repeatable     boolean NOT NULL,
    max_tries      integer NOT NULL,
    retry_delay_ms bigint NOT NULL,
    needs          smallint[] NOT NULL, -- no of each task that must have succeeded
    UNIQUE (type, version, no),
    FOREIGN KEY (type, version) REFERENCES hler.operation_type
);

CREATE TABLE hler.operation (
    id                  uuid PRIMARY KEY,
    type                text NOT NULL,
    version             integer NOT NULL,
    state               text NOT NULL,
    cause               text,
    message             text,
    -- json, not jsonb: jsonb would refuse \u0000 before our own check can name the fault.
    inputs              json NOT NULL DEFAULT '{}',
    target              uuid,
    priority            integer NOT NULL DEFAULT 0,
    requester           text NOT NULL,
    actor               text,
    labels              jsonb NOT NULL DEFAULT '{}',
    retry_of            uuid REFERENCES hler.operation,
    retry_reason        text,
    run_at              timestamptz,
    start_by            timestamptz,
    idempotency_key     text,
    traceparent         text,
    cancel_requested_at timestamptz,
    cancel_actor        text,
    cancel_reason       text,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    finished_at         timestamptz
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
-- No foreign key from the rows of each operation up to what it is of (operation_type; task to operation and task_type; attempt to
-- task): the functions that write them have just read what they point to, nothing but retention removes any of it, whole
-- operations at once, and the checks and their row locks were a fifteenth of the database's work.
-- No index names `state` or finished_at: updates stay within the page (HOT).
CREATE UNIQUE INDEX operation_idempotency_key ON hler.operation (requester, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX operation_requester ON hler.operation (requester, created_at);
CREATE INDEX operation_retry_of ON hler.operation (retry_of) WHERE retry_of IS NOT NULL;

-- Operations to be cancelled if nothing has started by then; a row goes when its time comes.
CREATE TABLE hler.start_limit (
    operation uuid PRIMARY KEY,
    start_by  timestamptz NOT NULL
);
CREATE INDEX start_limit_due ON hler.start_limit (start_by);

-- The hot table: narrow; specifications and outputs live elsewhere.
CREATE TABLE hler.task (
    id          uuid PRIMARY KEY,
    operation   uuid NOT NULL,
    task_type   integer NOT NULL,
    no          smallint NOT NULL,
    priority    smallint NOT NULL,
    attempt     integer NOT NULL DEFAULT 0, -- number of the newest attempt
    tries       integer NOT NULL DEFAULT 0, -- attempts that really started
    refusals    integer NOT NULL DEFAULT 0,
    reused      boolean NOT NULL DEFAULT false,
    state       text NOT NULL,
    phase       text GENERATED ALWAYS AS (hler_core.task_phase(state)) STORED,
    pool        text NOT NULL,
    key         text NOT NULL,
    cause       text,
    message     text,
    created_at  timestamptz NOT NULL,
    ready_at    timestamptz,
    started_at  timestamptz,
    finished_at timestamptz,
    UNIQUE (operation, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
-- Here and below indexes name `phase` and never `state`: an update of what an index names, be it only in its condition, makes
-- new entries in all of them, and a state moves more often than a phase.
CREATE INDEX task_ready ON hler.task (pool, priority DESC, ready_at, id) WHERE phase = 'ready';
CREATE INDEX task_waiting ON hler.task (ready_at) WHERE phase = 'waiting';
CREATE INDEX task_held ON hler.task (pool) WHERE phase = 'held';

CREATE TABLE hler.task_need (
    task  uuid NOT NULL REFERENCES hler.task,
    needs uuid NOT NULL REFERENCES hler.task,
    PRIMARY KEY (task, needs)
);
CREATE INDEX task_need_needs ON hler.task_need (needs);

CREATE TABLE hler.task_output (
    task    uuid PRIMARY KEY REFERENCES hler.task,
    outputs json NOT NULL
);

-- Facts (what events and claims said) and the state that follows from them (0007).
CREATE TABLE hler.attempt (
    task              uuid NOT NULL,
    attempt           integer NOT NULL,
    results_recorded  integer NOT NULL DEFAULT 0,
    results_expected  integer,
    offered_on        date NOT NULL, -- copied into events and output: their partition
    offered_at        timestamptz NOT NULL,
    reoffered_at      timestamptz,
    granted_at        timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    lost_at           timestamptz,
    lost_ms           bigint, -- the same by hler.silence.elapsed_ms
    reported_at       timestamptz, -- when the worker was last asked for it
    stop_requested_at timestamptz,
    stop_sent_at      timestamptz,
    last_event_at     timestamptz,
    last_seq          bigint NOT NULL DEFAULT 0,
    events_recorded   bigint NOT NULL DEFAULT 0,
    output_bytes      bigint,
    dropped_bytes     bigint,
    instance          uuid,
    session           uuid,
    exit_code         integer,
    signal            integer,
    left_behind       integer,
    retryable         boolean NOT NULL DEFAULT false,
    lost_said         boolean NOT NULL DEFAULT false, -- its own worker said so: it never comes back
    declined          boolean NOT NULL DEFAULT false,
    refused           boolean NOT NULL DEFAULT false,
    token             text NOT NULL,
    state             text NOT NULL,
    phase             text GENERATED ALWAYS AS (hler_core.attempt_phase(state)) STORED,
    pool              text NOT NULL,
    worker            text,
    end_state         text, -- what `finished` said; becomes the state once all results are in
    cause             text,
    message           text,
    stop_cause        text,
    PRIMARY KEY (task, attempt)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX attempt_offered ON hler.attempt (pool, offered_at) WHERE phase = 'offered';
CREATE INDEX attempt_taken ON hler.attempt (worker) WHERE phase = 'taken';
CREATE INDEX attempt_lost ON hler.attempt (lost_at) WHERE phase = 'taken' AND lost_at IS NOT NULL; -- state lost
CREATE INDEX attempt_stop ON hler.attempt (task)
    WHERE stop_requested_at IS NOT NULL AND stop_sent_at IS NULL;

-- Ended, lost and fenced attempts some of whose events have not come yet, as far as is known.
CREATE TABLE hler.gap (
    task    uuid NOT NULL,
    attempt integer NOT NULL,
    worker  text NOT NULL,
    since   timestamptz NOT NULL,
    PRIMARY KEY (task, attempt)
);
CREATE INDEX gap_worker ON hler.gap (worker);

-- No foreign keys below: rows come in bulk, from functions that hold the attempt's row.
-- seq < 0: what a worker says about an attempt, which has no number (hler_core.kind_seq).
CREATE TABLE hler.event (
    task        uuid NOT NULL,
    attempt     integer NOT NULL,
    seq         bigint NOT NULL,
    offered_on  date NOT NULL,
    stale       boolean NOT NULL,
    kind        text NOT NULL,
    data        json NOT NULL,
    worker_at   timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (task, attempt, seq, offered_on)
) PARTITION BY RANGE (offered_on);
CREATE TABLE hler.output_event (
    task        uuid NOT NULL,
    attempt     integer NOT NULL,
    seq         bigint NOT NULL,
    offered_on  date NOT NULL,
    stale       boolean NOT NULL,
    stream      text NOT NULL,
    text        text NOT NULL,
    raw         bytea,
    worker_at   timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (task, attempt, seq, offered_on)
) PARTITION BY RANGE (offered_on);
-- A quick compression where the server was built with it: its older one takes more processor time than all else that
-- becomes of a line here.
DO $$
BEGIN
    ALTER TABLE hler.output_event ALTER COLUMN text SET COMPRESSION lz4, ALTER COLUMN raw SET COMPRESSION lz4;
    ALTER TABLE hler.event ALTER COLUMN data SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;
CREATE TABLE hler.event_default PARTITION OF hler.event DEFAULT;
CREATE TABLE hler.output_event_default PARTITION OF hler.output_event DEFAULT;

-- Order of an entity's results: offer, then number; never the order of arrival.
CREATE TABLE hler.result (
    entity      uuid NOT NULL,
    field       text NOT NULL,
    offered_at  timestamptz NOT NULL,
    task        uuid NOT NULL,
    attempt     integer NOT NULL,
    seq         bigint NOT NULL,
    operation   uuid NOT NULL,
    mode        text NOT NULL,
    secret      boolean NOT NULL,
    stale       boolean NOT NULL,
    value       json NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (entity, field, offered_at, task, attempt, seq)
);
CREATE INDEX result_operation ON hler.result (operation);

-- Small and often updated: no index but the key, room in each page (HOT).
CREATE TABLE hler.worker (
    id               text PRIMARY KEY,
    instance         uuid,
    session          uuid,
    number           bigint,
    boot_id          text,
    pool             text,
    slots            integer NOT NULL DEFAULT 0,
    free             integer NOT NULL DEFAULT 0,
    held             integer NOT NULL DEFAULT 0, -- attempts that its last heartbeat listed
    draining         boolean NOT NULL DEFAULT false,
    stopped          boolean NOT NULL DEFAULT false,
    version          text,
    protocol         integer,
    executors        json,
    spool_bytes      bigint,
    oldest_unsent_ms bigint,
    control          text,
    note             text NOT NULL DEFAULT '', -- what the worker says of itself
    conflict         text NOT NULL DEFAULT '', -- what the tables say of it
    heard_ms         bigint NOT NULL,          -- hler.silence.elapsed_ms when last heard
    started_at       timestamptz NOT NULL,
    last_seen_at     timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Claims made ahead by workers that have room, each for the next task of their pool; used once.
CREATE TABLE hler.standing_claim (
    worker     text PRIMARY KEY,
    pool       text NOT NULL,
    free       integer NOT NULL, -- slots of the worker, to spread the load
    instance   uuid NOT NULL,
    session    uuid NOT NULL,
    claim      bigint NOT NULL,
    claimed_at timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX standing_claim_pool ON hler.standing_claim (pool, free DESC);

-- One row: the clock that runs only while ticks come through the same queue as heartbeats.
CREATE TABLE hler.silence (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    elapsed_ms    bigint NOT NULL,
    step_ms       bigint NOT NULL DEFAULT 0, -- the next tick counts for no more
    lost_after_ms bigint NOT NULL,
    last_tick_at  timestamptz
) WITH (fillfactor = 10);
INSERT INTO hler.silence (elapsed_ms, lost_after_ms) VALUES (0, 60000);
GRANT SELECT ON hler.silence TO hler_operator; -- doctor: when the last tick came

-- Workers, and whole pools, that an operator wants to take nothing new.
CREATE TABLE hler.drain (
    kind     text NOT NULL CHECK (kind IN ('worker', 'pool')),
    name     text NOT NULL,
    login    text NOT NULL,
    actor    text,
    reason   text,
    asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (kind, name)
);
GRANT SELECT ON hler.drain TO hler_operator;

CREATE TABLE hler.listener (
    name       text PRIMARY KEY,
    requester  text, -- NULL: everybody's
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Outbox of task.* and operation.* events.
CREATE TABLE hler.verdict (
    no         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid NOT NULL UNIQUE DEFAULT hler.uuid7(),
    class      text NOT NULL,
    state      text NOT NULL,
    operation  uuid NOT NULL,
    task       uuid,
    cause      text,
    message    text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    taken_at   timestamptz,
    taken_by   text
) WITH (fillfactor = 80);

-- What was set aside, once: a copy of the same message raises `copies`.
CREATE TABLE hler.dead_message (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    reason      text NOT NULL,
    facts       text NOT NULL,
    body        bytea,
    size        bigint NOT NULL,
    copies      bigint NOT NULL DEFAULT 1,
    received_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    last_at     timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    redrive_at  timestamptz, -- an operator wants it read again: not before then
    said        text,        -- what came of the last such try
    digest      text GENERATED ALWAYS AS (pg_catalog.md5(source || ' ' || reason || ' ' || facts || ' ' || coalesce(pg_catalog.md5(body), ''))) STORED
);
CREATE UNIQUE INDEX dead_message_digest ON hler.dead_message (digest);
CREATE INDEX dead_message_redrive ON hler.dead_message (redrive_at) WHERE redrive_at IS NOT NULL;
GRANT SELECT ON hler.dead_message TO hler_operator;

-- What people, and dispatchers for them, did with those: it stays when the message is gone.
CREATE TABLE hler.dead_act (
    no      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message bigint NOT NULL,
    act     text NOT NULL, -- asked, settled, kept, dropped
    login   text NOT NULL,
    actor   text,
    note    text,
    source  text NOT NULL,
    reason  text NOT NULL,
    facts   text NOT NULL,
    at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX dead_act_message ON hler.dead_act (message);
GRANT SELECT ON hler.dead_act TO hler_operator;

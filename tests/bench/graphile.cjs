// graphile-worker as a peer, tuned as its documentation says for throughput (local queue, completions in batches).
//   graphile.cjs drain URL N true|none        graphile.cjs latency URL N STAMPFILE
const { run, runMigrations, Logger } = require('graphile-worker')
const { Pool } = require('pg')
const operation = require('./operation.cjs')

const CONCURRENCY = 8
const GAP_MS = 100
const [, , command, url, count, more] = process.argv
const tuned = { worker: { localQueue: { size: 500, refetchDelay: { durationMs: 10 } }, completeJobBatchDelay: 5, failJobBatchDelay: 5 } }
const base = { connectionString: url, noHandleSignals: true, logger: new Logger(() => () => {}), pollInterval: 2000 }
const start = (taskList, preset) => run({ ...base, concurrency: CONCURRENCY, maxPoolSize: CONCURRENCY + 4, taskList, preset })

async function drain (pool) {
  const n = Number(count)
  const ops = new Pool({ connectionString: url, max: 10 })
  const runner = await start({ operation: p => operation.run(ops, p.id, more), warm: async () => {} }, tuned)
  const add = (m, task) => pool.query(`SELECT count(graphile_worker.add_job($2, json_build_object('id', g, 'payload', repeat('p', 300))))
                                         FROM generate_series(1, $1::int) AS g`, [m, task])
  await add(50, 'warm')
  await operation.sleep(300)
  await add(n, 'operation') // its COMMIT is answered when this returns
  const began = operation.seconds()
  const seconds = await operation.allFinal(pool, n) - began
  await runner.stop()
  return { operations: n, seconds, rate: n / seconds }
}

// Without the local queue: it is for throughput, and adds to the time of a single job.
async function latency (pool) {
  await start({ stamp: async () => operation.stamp(more) })
  const send = () => pool.query("SELECT graphile_worker.add_job('stamp', '{}'::json)")
  return { ms: (await operation.latencies(more, Number(count) + 3, GAP_MS, send)).slice(3) }
}

operation.main(async () => {
  await runMigrations(base)
  const pool = new Pool({ connectionString: url, max: 2 })
  return command === 'drain' ? drain(pool) : latency(pool)
})

// pg-boss as a peer: batches of 500, and a handler that asks for the next fetch at once instead of waiting for the next poll.
//   pgboss.cjs drain URL N true|none          pgboss.cjs latency URL N STAMPFILE
const PgBoss = require('pg-boss')
const { Pool } = require('pg')
const operation = require('./operation.cjs')

const BATCH = 500
const AT_ONCE = 8
const POLL_S = 0.5 // the least that it takes
const GAP_MS = 170
const [, , command, url, count, more] = process.argv

// Runs act on all jobs, AT_ONCE of them at a time.
async function each (jobs, act) {
  let next = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (next < jobs.length) await act(jobs[next++]) }))
}

async function drain (boss, queue) {
  const n = Number(count)
  const pool = new Pool({ connectionString: url, max: 10 })
  const rows = Array.from({ length: n }, (_, i) => ({ name: queue, data: { id: i + 1, payload: 'p'.repeat(300) } }))
  for (let i = 0; i < n; i += 1000) await boss.insert(rows.slice(i, i + 1000))
  const began = operation.seconds()
  const id = await boss.work(queue, { batchSize: BATCH, pollingIntervalSeconds: POLL_S }, async jobs => {
    await each(jobs, job => operation.run(pool, job.data.id, more))
    boss.notifyWorker(id)
  })
  const seconds = await operation.allFinal(pool, n) - began
  return { operations: n, seconds, rate: n / seconds }
}

async function latency (boss, queue) {
  await boss.work(queue, { pollingIntervalSeconds: POLL_S }, async () => operation.stamp(more))
  return { ms: (await operation.latencies(more, Number(count) + 3, GAP_MS, () => boss.send(queue, {}))).slice(3) }
}

operation.main(async () => {
  const boss = new PgBoss({ connectionString: url, max: 10 })
  boss.on('error', why => { console.error(why); process.exit(1) })
  await boss.start()
  const queue = `bench${Date.now()}`
  await boss.createQueue(queue)
  return command === 'drain' ? drain(boss, queue) : latency(boss, queue)
})

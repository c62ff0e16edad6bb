// What both Node peers do for one operation, down to the same rows as the other contenders: two events, two changes of state.
const { spawn } = require('node:child_process')
const fs = require('node:fs')

const EVENT = 'e'.repeat(240)
const RECORD = {
  name: 'record',
  text: `WITH e AS (INSERT INTO events(op_id, seq, kind, body) VALUES ($1::bigint, $2::int, $2::int, $3) ON CONFLICT DO NOTHING)
         UPDATE ops SET state = 1 + $2::int, done_at = CASE WHEN $2::int = 2 THEN clock_timestamp() END
          WHERE id = $1::bigint AND state < 1 + $2::int`
}

const seconds = () => Number(process.hrtime.bigint()) / 1e9 // CLOCK_MONOTONIC, which the other contenders read, too
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

const runTrue = () => new Promise((resolve, reject) => {
  const child = spawn('/bin/true', [], { stdio: 'ignore' })
  child.on('error', reject)
  child.on('exit', code => code === 0 ? resolve() : reject(new Error(`exit code ${code}`)))
})

const record = (pool, id, kind) => pool.query({ ...RECORD, values: [id, kind, EVENT] })

exports.run = async (pool, id, mode) => {
  await record(pool, id, 1)
  if (mode === 'true') await runTrue()
  await record(pool, id, 2)
}

// Until all operations are final in the table.
exports.allFinal = async (pool, count, patienceS = 100) => {
  for (const end = seconds() + patienceS; seconds() < end; await sleep(10)) {
    const r = await pool.query('SELECT count(*)::int AS n FROM ops WHERE state = 3')
    if (r.rows[0].n >= count) return seconds()
  }
  throw new Error('operations did not end')
}

exports.stamp = file => fs.appendFileSync(file, `${process.hrtime.bigint()}\n`)
exports.stampsOf = file => fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n').filter(Boolean) : []

// send() one job after another on an idle system: ms from its answer to the first line of the handler, which stamps.
exports.latencies = async (file, count, gapMs, send) => {
  const took = []
  for (let i = 0; i < count; i++) {
    await send()
    const sent = process.hrtime.bigint()
    for (const end = seconds() + 20; exports.stampsOf(file).length <= i;) {
      if (seconds() > end) throw new Error('a stamp did not come')
      await sleep(5)
    }
    took.push(Number(BigInt(exports.stampsOf(file)[i]) - sent) / 1e6)
    await sleep(gapMs * (0.5 + Math.random())) // so that every phase of a poll is met
  }
  return took
}

exports.seconds = seconds
exports.sleep = sleep
exports.main = act => act().then(out => { console.log(JSON.stringify(out)); process.exit(0) }, why => { console.error(why); process.exit(1) })

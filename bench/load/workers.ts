/**
 * Turns worker counts into calls a second and CPU microseconds a call, turn by turn, under h2load: `node bench/load/workers.ts
 * [rounds]`. Where the load generator, the server and the workers share cores, only the CPU of a call means something.
 */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../test/support/free-port.ts'
import { cpuSeconds, peakMemoryMegabytes, startListening } from './fleet.ts'
import { AUDIENCE, ISSUER, prepareGround } from './ground.ts'
import type { Ground } from './ground.ts'
import { PROFILES } from './profiles.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const WORKER_COUNTS = [1, 2]
/** Each worker has its own code to compile: with a short warm-up that would be counted twice. */
const WARM_UP_SECONDS = 8
const LOAD = { connections: 8, concurrency: 50, size: 1024, isTls: false }

interface Figures {
  callsPerSecond: number
  cpuMicros: number
  failed: number
  peakMegabytes: number
}

const ground = await prepareGround()
const profile = PROFILES.find(({ name }) => name === 'constant')!
const server = await profile.startServer(ground)
const found = new Map<number, Figures[]>(WORKER_COUNTS.map((count) => [count, []]))
try {
  for (let round = 0; round < Number(process.argv[2] ?? 5); round++) {
    for (const count of round % 2 === 0 ? WORKER_COUNTS : WORKER_COUNTS.toReversed())
      found.get(count)!.push(await measure(count, server.port, ground))
  }
} finally {
  await server.stop()
  ground.remove()
}
console.log(
  '| workers | calls/s | CPU µs/call | (least … most) | peak MB | failed |\n| --- | --- | --- | --- | --- | --- |',
)
for (const [count, turns] of found) {
  const sorted = (read: (turn: Figures) => number): number[] => turns.map(read).sort((a, b) => a - b)
  const median = (read: (turn: Figures) => number): number => sorted(read)[turns.length >> 1]!
  const cpu = sorted(({ cpuMicros }) => cpuMicros)
  const spread = `${cpu[0]!.toFixed(1)} … ${cpu.at(-1)!.toFixed(1)}`
  const failed = turns.reduce((sum, turn) => sum + turn.failed, 0)
  console.log(
    `| ${count} | ${median((turn) => turn.callsPerSecond).toFixed(0)} | ${median((turn) => turn.cpuMicros).toFixed(1)} | ${spread} | ${median((turn) => turn.peakMegabytes).toFixed(0)} | ${failed} |`,
  )
}

async function measure(
  workers: number,
  upstreamPort: number,
  { folder, publicKeysFile }: Ground,
): Promise<Figures> {
  const port = await freePort()
  const config = join(folder, `workers-${port}.yaml`)
  writeFileSync(
    config,
    `workers: ${workers}
control_plane:
  listen: {endpoint: '127.0.0.1:${port}', max_concurrent_streams: 1000}
  upstream: {endpoint: '127.0.0.1:${upstreamPort}'}
  oidc:
    providers: [{issuer_url: ${ISSUER}, audience: ${AUDIENCE}, public_keys_file: ${publicKeysFile}}]
admin: {endpoint: '127.0.0.1:${await freePort()}'}
drain: {delay: 0s, timeout: 1s}
`,
  )
  const gateway = await startListening(
    process.execPath,
    ['--max-semi-space-size=4', MAIN, '--config', config],
    port,
    { logFile: `${config}.log` },
  )
  try {
    // The port is open before the last worker is there.
    await sleep(1_500)
    await profile.put(ground, port, { ...LOAD, seconds: WARM_UP_SECONDS })
    const before = cpuSeconds(gateway.pid)
    const { calls, elapsedSeconds, failed } = await profile.put(ground, port, { ...LOAD, seconds: 6 })
    return {
      callsPerSecond: calls / elapsedSeconds,
      cpuMicros: ((cpuSeconds(gateway.pid) - before) / calls) * 1e6,
      failed,
      peakMegabytes: peakMemoryMegabytes(gateway.pid),
    }
  } finally {
    await gateway.stop()
  }
}

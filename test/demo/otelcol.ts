/**
 * A stock collector behind the control plane, when OTELCOL_BIN names one: from a configuration file of its own, it
 * exports to the receiver that counts.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/free-port.ts'
import type { MiddleCollector } from '../support/whole-pattern.ts'

const START_MS = 15_000

const configuration = (port: number, receiverEndpoint: string): string => `receivers:
  otlp: {protocols: {grpc: {endpoint: '127.0.0.1:${port}', include_metadata: true}}}
exporters:
  otlp: {endpoint: '${receiverEndpoint}', tls: {insecure: true}}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
    metrics: {receivers: [otlp], exporters: [otlp]}
    logs: {receivers: [otlp], exporters: [otlp]}
`

/**
 * Starts the collector `program` and waits until it listens. @throws Error with what it wrote when it does not.
 * @param configure makes another configuration, whose receiver listens on the port that it is given
 */
export async function startOtelcol(
  program: string,
  folder: string,
  receiverEndpoint: string,
  configure: (port: number, upstream: string) => string = configuration,
): Promise<MiddleCollector> {
  const port = await freePort()
  const file = join(folder, `otelcol-${port}.yaml`)
  writeFileSync(file, configure(port, receiverEndpoint))
  const child = spawn(program, ['--config', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const killAtExit = (): void => void child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const written: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => written.push(chunk))
  const state = { hasEnded: false }
  const ended = Promise.race([once(child, 'close'), once(child, 'error')])
    .catch((error: unknown) => void written.push(String(error)))
    .finally(() => {
      state.hasEnded = true
      process.removeListener('exit', killAtExit)
    })
  const stop = async (): Promise<void> => {
    if (!state.hasEnded) child.kill('SIGTERM')
    const timer = setTimeout(killAtExit, 5_000)
    await ended
    clearTimeout(timer)
  }
  const endMs = performance.now() + START_MS
  while (!(await accepts(port))) {
    if (!state.hasEnded && performance.now() < endMs) {
      await sleep(50)
      continue
    }
    await stop()
    throw new Error(
      `OTELCOL_BIN=${program} did not listen on port ${port}:\n${written.join('').slice(-2_000)}`,
    )
  }
  return { endpoint: `127.0.0.1:${port}`, stop }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('connect', () => socket.destroy())
  })
}

/**
 * Turns a proxy's port into load and what came of it: h2load with the same head for every call, or grpc-go, whose head
 * varies with each call's deadline. All load goes to the loopback interface and is bounded in time.
 */
import { join } from 'node:path'
import { run } from '../../test/interop/tools/run.ts'
import type { Running } from './fleet.ts'
import type { Ground } from './ground.ts'
import { ANSWER_BYTES, METHOD, grpcGoProgram, startGrpcGoServer, startNghttpd, writeBody } from './ground.ts'

/** How much load. */
export interface Load {
  seconds: number
  connections: number
  concurrency: number
  /** Octets of a message, without the 5 of its prefix. */
  size: number
  isTls: boolean
  /** What is sent in place of `size` octets of nothing; h2load only. */
  bodyFile?: string
}

/** What a load run found. */
export interface LoadFigures {
  calls: number
  failed: number
  elapsedSeconds: number
  meanMicros: number
  /** Where the load generator tells it, else null. */
  p99Micros: number | null
}

/** A kind of load: its generator and the server that fits it. */
export interface Profile {
  name: 'constant' | 'grpc-go' | 'grpc-js'
  describes: string
  /** Why it cannot be run here, or null. */
  lack(): string | null
  startServer(ground: Ground): Promise<Running>
  put(ground: Ground, port: number, load: Load): Promise<LoadFigures>
  /** Loads a proxy before its first turn, where `put` alone would not be enough of it. */
  warmUp?(ground: Ground, port: number, load: Load): Promise<LoadFigures>
}

const isMissing = (error: string): Error => new Error(`the load generator failed: ${error}`)
const LOAD_SLACK_MS = 20_000
const loadTimeoutMs = (load: Load): number => load.seconds * 1000 + LOAD_SLACK_MS

/** h2load: after the first call of a connection each head is the same few indexed octets. It has no client certificate. */
const constant: Profile = {
  name: 'constant',
  describes: 'constant head (h2load → nghttpd)',
  lack: () => null,
  startServer: startNghttpd,
  put: (ground, port, load) => (load.isTls ? putCore(ground, port, load) : putH2load(ground, port, load)),
}

/** Loads with h2load, with further arguments of its own. */
export async function putH2load(
  ground: Ground,
  port: number,
  load: Load,
  further: string[] = [],
): Promise<LoadFigures> {
  const url = `${load.isTls ? 'https' : 'http'}://127.0.0.1:${port}${METHOD}`
  const fields = [`authorization: Bearer ${ground.token}`, 'content-type: application/grpc', 'te: trailers']
  const amount = [
    '-c',
    `${load.connections}`,
    '-m',
    `${load.concurrency}`,
    '-t',
    '1',
    '-D',
    `${load.seconds}`,
  ]
  const body = load.bodyFile ?? writeBody(ground, load.size)
  const heads = fields.flatMap((field) => ['-H', field])
  const result = await run('h2load', [...amount, ...further, '-d', body, ...heads, url], {
    timeoutMs: loadTimeoutMs(load),
  })
  if (result.code !== 0) throw isMissing(result.trouble ?? result.stderr.slice(-300))
  return parseH2load(result.stdout, load)
}

/** Loads with the client on authgw's own core, which shows its certificate where there is TLS. */
export async function putCore(ground: Ground, port: number, load: Load): Promise<LoadFigures> {
  const safety = load.isTls
    ? ['--ca', ground.caFile, '--cert', ground.clientCertFile, '--key', ground.clientKeyFile]
    : []
  return putNode('core-load.ts', ground, port, load, ['load', ...safety])
}

async function putNode(
  program: string,
  ground: Ground,
  port: number,
  load: Load,
  further: string[],
): Promise<LoadFigures> {
  const amount = ['--connections', `${load.connections}`, '--concurrency', `${load.concurrency}`]
  const shape = ['--seconds', `${load.seconds}`, '--size', `${load.size}`, '--token-file', ground.tokenFile]
  const file = join(import.meta.dirname, program)
  const args = [file, '--port', `${port}`, ...amount, ...shape, ...further]
  const result = await run(process.execPath, args, { timeoutMs: loadTimeoutMs(load) })
  if (result.code !== 0) throw isMissing(result.trouble ?? result.stderr.slice(-300))
  return JSON.parse(result.stdout) as LoadFigures
}

/**
 * Reads h2load's closing lines. It takes any HTTP 200 for a success, also trailers that say UNAVAILABLE; but only a call that
 * succeeded has brought a message, of `ANSWER_BYTES` octets. @throws Error if the lines are not there.
 */
export function parseH2load(text: string, load: Load): LoadFigures {
  const requests = /requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded/.exec(text)
  const traffic = /traffic: .* (?:\S+ )?\((\d+)\) data/.exec(text)
  const times = /time for request: +(\S+) +(\S+) +(\S+)/.exec(text)
  if (requests === null || traffic === null || times === null) throw isMissing('no figures in its output')
  const calls = Number(requests[2])
  const withoutMessage = calls - Math.floor(Number(traffic[1]) / ANSWER_BYTES)
  return {
    calls,
    failed: Math.max(0, calls - Number(requests[3]), withoutMessage),
    elapsedSeconds: load.seconds,
    meanMicros: micros(times[3]!),
    p99Micros: null,
  }
}

function micros(text: string): number {
  const [, number, unit] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? []
  return Number(number) * (unit === 's' ? 1_000_000 : unit === 'ms' ? 1_000 : 1)
}

/** grpc-go: each call carries its remaining time as grpc-timeout, which its HPACK inserts into the table. */
const grpcGo: Profile = {
  name: 'grpc-go',
  describes: 'varying indexed grpc-timeout (grpc-go → grpc-go)',
  lack: () =>
    grpcGoProgram() === null
      ? 'grpc-go-load is not built: node test/interop/tools/install.ts grpc-go-load'
      : null,
  startServer: async (ground) => startGrpcGoServer(ground, grpcGoProgram()!),
  async put(ground, port, load) {
    const amount = ['-connections', `${load.connections}`, '-concurrency', `${load.concurrency}`]
    const shape = [
      '-seconds',
      `${load.seconds}`,
      '-size',
      `${load.size}`,
      '-timeout',
      '10s',
      '-method',
      METHOD,
    ]
    const safety = load.isTls
      ? ['-ca', ground.caFile, '-cert', ground.clientCertFile, '-key', ground.clientKeyFile]
      : []
    const where = ['-target', `127.0.0.1:${port}`, '-token-file', ground.tokenFile]
    const result = await run(grpcGoProgram()!, ['load', ...where, ...amount, ...shape, ...safety], {
      timeoutMs: loadTimeoutMs(load),
    })
    if (result.code !== 0) throw isMissing(result.trouble ?? result.stderr.slice(-300))
    const found = JSON.parse(result.stdout) as LoadFigures & { firstFailure?: string }
    if (found.firstFailure !== undefined) console.error(`  first failure: ${found.firstFailure}`)
    return found
  },
}

/** Calls at once on one connection of grpc-js: more would only wait in its own process. */
const GRPC_JS_CONCURRENCY = 25

/** grpc-js: its token is never indexed, and so comes whole in every call. */
const grpcJs: Profile = {
  name: 'grpc-js',
  describes: 'token never indexed (grpc-js → nghttpd)',
  lack: () => null,
  startServer: startNghttpd,
  // grpc-js makes too few calls for a just-in-time compiler.
  warmUp: putH2load,
  put: (ground, port, load) =>
    putNode(
      'grpc-js-load.ts',
      ground,
      port,
      { ...load, concurrency: Math.min(load.concurrency, GRPC_JS_CONCURRENCY) },
      ['--method', METHOD],
    ),
}

export const PROFILES: Profile[] = [constant, grpcGo, grpcJs]
/** Where a peer writes what it has to say. */
export const logFileOf = (ground: Ground, name: string): string => join(ground.folder, `${name}.log`)

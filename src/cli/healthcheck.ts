/**
 * `authgw healthcheck`: asks the admin endpoint of a configuration whether the gateway is ready, for container probes.
 * Floor 8; opens none of the files that the configuration names.
 */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Config, Endpoint } from '../config/index.ts'
import { EXIT } from './io.ts'
import type { CliIo } from './io.ts'

/** Options of `authgw healthcheck`. */
export interface HealthcheckOptions {
  /** Ask /livez in place of /readyz. */
  readonly liveness?: boolean
  /** How long to wait, in ms. */
  readonly timeoutMs: number
}

const MAX_REASON_LENGTH = 2_000

/** Asks once. Gives 0 when the answer is 200, else 1, with the reason on the standard error. */
export async function runHealthcheck(
  config: Config,
  options: HealthcheckOptions,
  io: CliIo,
): Promise<number> {
  const path = options.liveness === true ? '/livez' : '/readyz'
  const { endpoint, tls } = config.admin
  try {
    const { status, body } = await ask(endpoint, path, tls !== undefined, options.timeoutMs)
    if (status === 200) return EXIT.ok
    io.err(`${path} of ${endpoint.text}: ${status} ${body.trim()}\n`)
  } catch (error) {
    io.err(
      `${path} of ${endpoint.text}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}\n`,
    )
    // This command shows no certificate, like the kubelet.
    if (tls?.clientAuth === 'require')
      io.err(
        'admin.tls asks for a client certificate: write client_auth: optional, so that probes need none\n',
      )
  }
  return EXIT.failed
}

/** Asks this machine: an endpoint on all addresses is reached by loopback. */
function ask(
  endpoint: Endpoint,
  path: string,
  isTls: boolean,
  timeoutMs: number,
): Promise<{ status: number; body: string }> {
  const target =
    endpoint.kind === 'unix'
      ? { socketPath: endpoint.path, host: 'localhost' }
      : { host: loopbackFor(endpoint.host), port: endpoint.port }
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>()
  const options = { ...target, path, timeout: timeoutMs, agent: false, rejectUnauthorized: false }
  const request = (isTls ? httpsRequest : httpRequest)(options, (response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      if (body.length < MAX_REASON_LENGTH) body += text
    })
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    response.on('error', reject)
  })
  request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)))
  request.on('error', reject)
  request.end()
  return promise
}

function loopbackFor(host: string): string {
  if (host === '::') return 'localhost'
  return host === '0.0.0.0' ? '127.0.0.1' : host
}

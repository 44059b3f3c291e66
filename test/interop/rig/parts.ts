/**
 * The services of the pattern, each from its file in the run's folder, as the README of deploy/pattern-5 starts them.
 */
import { join } from 'node:path'
import { SHIPPED_ENV, SHIPPED_FLAGS } from '../../support/as-shipped.ts'
import { takePort } from './ports.ts'
import { PROJECT } from '../../support/project-files.ts'
import type { RunFolder } from './folder.ts'
import { isAnswering, isListening, Service } from './service.ts'

const MAIN = join(PROJECT, 'src/main.ts')

/** A gateway from `file`, which is in the folder; `admin` is the port of its admin endpoint. */
export function authgw(
  folder: RunFolder,
  gateway: { name: string; file: string; admin: number; args?: readonly string[]; env?: NodeJS.ProcessEnv },
): Service {
  return new Service({
    name: gateway.name,
    program: process.execPath,
    args: [...SHIPPED_FLAGS, MAIN, '--config', gateway.file, ...(gateway.args ?? [])],
    folder: folder.path,
    env: { ...folder.env, ...SHIPPED_ENV, ...gateway.env },
    isReady: () => isAnswering(`http://localhost:${gateway.admin}/livez`),
  })
}

/** A stock collector from `file`, which listens on `port` when it is ready. */
export function otelcol(
  folder: RunFolder,
  program: string,
  collector: { name: string; file: string; port: number; env?: NodeJS.ProcessEnv; restartAfterMs?: number },
): Service {
  const { name, file, port, env, restartAfterMs } = collector
  return new Service({
    name,
    program,
    args: ['--config', file],
    folder: folder.path,
    env: { ...folder.env, ...env },
    isReady: () => isListening(port),
    ...(restartAfterMs !== undefined && { restartAfterMs }),
  })
}

/** Jaeger, with its OTLP receiver where the control-plane collector sends to. */
export async function jaegerAllInOne(
  folder: RunFolder,
  program: string,
): Promise<{ service: Service; query: string }> {
  const query = await takePort()
  const admin = await takePort()
  const at = (port: number): string => `localhost:${port}`
  const own = async (option: string): Promise<string> => `--${option}=${at(await takePort())}`
  const service = new Service({
    name: 'jaeger',
    program,
    args: [
      `--collector.otlp.grpc.host-port=${at(folder.ports.jaeger)}`,
      await own('collector.otlp.http.host-port'),
      `--query.http-server.host-port=${at(query)}`,
      await own('query.grpc-server.host-port'),
      await own('collector.grpc-server.host-port'),
      await own('collector.http-server.host-port'),
      await own('http-server.host-port'),
      await own('processor.jaeger-binary.server-host-port'),
      await own('processor.jaeger-compact.server-host-port'),
      await own('processor.zipkin-compact.server-host-port'),
      `--admin.http.host-port=${at(admin)}`,
      '--log-level=warn',
    ],
    folder: folder.path,
    isReady: async () => (await isListening(folder.ports.jaeger)) && isAnswering(`http://${at(admin)}/`),
  })
  return { service, query: `http://${at(query)}` }
}

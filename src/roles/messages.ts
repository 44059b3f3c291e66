/**
 * What supervisor and workers say to each other: plain values, over the pipe between the processes and nowhere else.
 * Floor 7; tokens and private keys are among them, so that none of this is ever logged.
 */
import type { Socket } from 'node:net'
import type {
  KeyFetchReport,
  KeyRequest,
  KeySet,
  TokenReply,
  TokenRequest,
  TokenSnapshot,
} from '../auth/index.ts'
import { ConfigError, TransportError, type ConfigFault, type Snapshot } from '../base/index.ts'
import type { Config, Oauth2ClientConfig, WorkloadConfig } from '../config/index.ts'
import type { MetricsSnapshot } from '../telemetry/index.ts'
import type { Endpoint } from '../net/index.ts'
import type { RoleReport } from './gateway.ts'
import type { GateTroubles } from './owners.ts'
import type { RoleName } from './role.ts'

/** Where the supervisor accepts connections for each role. */
export type Doors = Readonly<Partial<Record<RoleName, readonly Endpoint[]>>>

/** Files as they were when they last fitted together, by path. */
export type FileOctets = Readonly<Record<string, Uint8Array>>

/** What a worker is to do, and all that it needs from the owner. */
export interface Orders {
  /** 1 … `workerCount`; a worker that replaces another has its number. */
  readonly number: number
  readonly workerCount: number
  readonly config: Config
  readonly doors: Doors
  /** By identity. */
  readonly tokens: Readonly<Record<string, Snapshot<TokenSnapshot> | null>>
  /** By issuer. */
  readonly keys: Readonly<Record<string, Snapshot<KeySet> | null>>
  /** By path of the TLS section. */
  readonly files: Readonly<Record<string, FileOctets>>
}

/** What is asked. The first three by workers, the others by the supervisor. */
export interface Questions {
  orders: null
  token: { readonly identity: string; readonly request: TokenRequest }
  keys: { readonly issuer: string; readonly request: KeyRequest }
  metrics: null
  reload: Config
}

/** What is answered. */
export interface Answers {
  orders: Orders
  token: TokenReply
  keys: KeyFetchReport
  metrics: MetricsSnapshot
  reload: null
}

/** What is told. The first six by the supervisor, the others by workers. */
export interface News {
  token: { readonly identity: string; readonly snapshot: Snapshot<TokenSnapshot> }
  keys: { readonly issuer: string; readonly snapshot: Snapshot<KeySet> }
  files: { readonly path: string; readonly files: FileOctets }
  /** A connection, whose socket comes along. */
  connection: { readonly id: number; readonly role: RoleName }
  drain: null
  stop: null
  /** The connection has come and is served here; or it has not, or is not wanted, and may go to another. */
  taken: { readonly id: number; readonly isTaken: boolean }
  /** Its roles take connections. */
  listening: null
  /** It cannot start. */
  failed: StartFailure
  /** Once a second: it lives, and how it is. */
  report: WorkerReport
}

/** How a worker is. */
export interface WorkerReport {
  readonly troubles: GateTroubles
  readonly roles: readonly RoleReport[]
}

/** Why a worker cannot start, of the classes that the command line tells apart. */
export interface StartFailure {
  readonly message: string
  /** Faults of the configuration; null for any other cause. */
  readonly faults: readonly ConfigFault[] | null
  readonly code: TransportError['code'] | null
}

/** Answers questions. */
export type QuestionHandlers = {
  readonly [K in keyof Questions]?: (body: Questions[K]) => Promise<Answers[K]>
}

/** Hears news. */
export type NewsHandlers = { readonly [K in keyof News]?: (body: News[K], socket?: Socket) => void }

/** An error as it travels. */
export function toFailure(error: unknown): StartFailure {
  return {
    message: error instanceof Error ? error.message : 'unknown',
    faults: error instanceof ConfigError ? error.faults : null,
    code: error instanceof TransportError ? error.code : null,
  }
}

/** And back, so that the command line says of it what it would have said in one process. */
export function toError({ message, faults, code }: StartFailure): Error {
  if (faults !== null) return new ConfigError(faults)
  return code === null ? new Error(message) : new TransportError(code, message)
}

/** The configuration without the credentials of the client, and those of the admin endpoint: a worker has neither. */
export function withoutCredentials(config: Config): Config {
  const { workload } = config
  const { tls, ...admin } = config.admin
  if (workload === undefined) return tls === undefined ? config : { ...config, admin }
  const { oauth2client, identities } = workload
  const bare: WorkloadConfig = {
    ...workload,
    ...(oauth2client !== undefined && { oauth2client: bareGrant(oauth2client) }),
    ...(identities !== undefined && {
      identities: identities.map((identity) =>
        identity.oauth2client === undefined
          ? identity
          : { ...identity, oauth2client: bareGrant(identity.oauth2client) },
      ),
    }),
  }
  return { ...config, admin, workload: bare }
}

function bareGrant(grant: Oauth2ClientConfig): Oauth2ClientConfig {
  const {
    clientSecret: _secret,
    clientCertificateKey: _key,
    endpointParams: _parameters,
    claims: _claims,
    tls: _tls,
    ...bare
  } = grant
  return bare
}

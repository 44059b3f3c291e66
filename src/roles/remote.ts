/**
 * A worker's end of the line to the owner: snapshots that arrive into the ports that gates and listeners read.
 * Floor 7; owns nothing and reads no file. Monotonic times are put on this process's clock.
 */
import type {
  KeyFetchReport,
  KeyRequest,
  KeySet,
  ProviderKeys,
  TokenPort,
  TokenReply,
  TokenRequest,
  TokenSnapshot,
} from '../auth/index.ts'
import { invariant, type Snapshot, type SnapshotSource } from '../base/index.ts'
import type { TlsContext } from '../net/index.ts'
import { RemoteIntake } from './intake.ts'
import type { Line } from './line.ts'
import type { Machine } from './machine.ts'
import type { FileOctets, NewsHandlers, Orders } from './messages.ts'
import type { RoleName } from './role.ts'
import type { Sources } from './sources.ts'
import { openContext, type FilePorts, type TlsPlace } from './tls.ts'

/** What a gate is told when the owner cannot answer: it has gone, and this process is about to. */
const RETRY_MS = 1_000

/** The latest snapshot of an owner in another process, under the owner's generation. */
class RemoteSnapshots<T> implements SnapshotSource<T> {
  current: Snapshot<T> | null
  readonly #listeners = new Set<(snapshot: Snapshot<T>) => void>()

  constructor(current: Snapshot<T> | null) {
    this.current = current
  }

  /** Takes a snapshot that has arrived. One that is known, or older, changes nothing. */
  take(snapshot: Snapshot<T>): void {
    if (snapshot.generation <= (this.current?.generation ?? 0)) return
    this.current = snapshot
    for (const listener of this.#listeners) listener(snapshot)
  }

  subscribe(listener: (snapshot: Snapshot<T>) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }
}

class RemoteToken implements TokenPort {
  readonly tokens: RemoteSnapshots<TokenSnapshot>
  readonly #line: Line
  readonly #identity: string

  constructor(line: Line, identity: string, current: Snapshot<TokenSnapshot> | null) {
    this.#line = line
    this.#identity = identity
    this.tokens = new RemoteSnapshots(current === null ? null : this.#localised(current))
  }

  take(snapshot: Snapshot<TokenSnapshot>): void {
    this.tokens.take(this.#localised(snapshot))
  }

  requestToken(request: TokenRequest): Promise<TokenReply> {
    return this.#line
      .ask('token', { identity: this.#identity, request })
      .catch(() => ({ kind: 'failure', reason: 'idp_unreachable', retryInMs: RETRY_MS }))
  }

  #localised({ generation, value }: Snapshot<TokenSnapshot>): Snapshot<TokenSnapshot> {
    return { generation, value: { ...value, usableUntilMs: this.#line.toOwnMs(value.usableUntilMs) } }
  }
}

class RemoteKeys implements ProviderKeys {
  readonly snapshots: RemoteSnapshots<KeySet>
  readonly #line: Line
  readonly #issuer: string

  constructor(line: Line, issuer: string, current: Snapshot<KeySet> | null) {
    this.#line = line
    this.#issuer = issuer
    this.snapshots = new RemoteSnapshots(current)
  }

  request(request: KeyRequest): Promise<KeyFetchReport> {
    return this.#line
      .ask('keys', { issuer: this.#issuer, request })
      .catch(() => ({ fetchStartedAtMs: 0, nextFetchInMs: RETRY_MS }))
  }
}

/** Files that another process reads, for a context that believes to read them itself. */
class RemoteFiles {
  #files: FileOctets
  readonly #listeners = new Set<() => void>()

  constructor(files: FileOctets) {
    this.#files = files
  }

  take(files: FileOctets): void {
    this.#files = files
    for (const listener of this.#listeners) listener()
  }

  get ports(): FilePorts {
    return {
      readFile: (path) => {
        const octets = this.#files[path]
        if (octets === undefined) return Promise.reject(new Error(`${path} was not sent`))
        return Promise.resolve(Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength))
      },
      watchFolder: (_folder, onEvent) => {
        this.#listeners.add(onEvent)
        return () => this.#listeners.delete(onEvent)
      },
    }
  }
}

/** What a worker has of the owner. */
export class RemoteSources implements Sources {
  readonly #machine: Machine
  readonly #tokens: ReadonlyMap<string, RemoteToken>
  readonly #keys: ReadonlyMap<string, RemoteKeys>
  readonly #files: ReadonlyMap<string, RemoteFiles>
  readonly #intakes: ReadonlyMap<string, RemoteIntake>
  readonly #line: Line
  readonly #contexts: TlsContext[] = []

  /** @param orders as they came: the first snapshots are in them */
  constructor(machine: Machine, line: Line, orders: Pick<Orders, 'doors' | 'tokens' | 'keys' | 'files'>) {
    this.#machine = machine
    this.#line = line
    const map = <T, U>(record: Readonly<Record<string, T>>, make: (name: string, value: T) => U) =>
      new Map(Object.entries(record).map(([name, value]) => [name, make(name, value)]))
    this.#tokens = map(orders.tokens, (identity, current) => new RemoteToken(line, identity, current))
    this.#keys = map(orders.keys, (issuer, current) => new RemoteKeys(line, issuer, current))
    this.#intakes = map(orders.doors, (_role, endpoints) => new RemoteIntake(endpoints))
    this.#files = map(orders.files, (_path, files) => new RemoteFiles(files))
  }

  /** Hears what has changed. */
  get news(): NewsHandlers {
    return {
      token: ({ identity, snapshot }) => this.#tokens.get(identity)?.take(snapshot),
      keys: ({ issuer, snapshot }) => this.#keys.get(issuer)?.snapshots.take(snapshot),
      files: ({ path, files }) => this.#files.get(path)?.take(files),
      connection: ({ id, role }, socket) => {
        // Without a socket, its client had gone before it was sent.
        const isTaken = socket !== undefined && this.#intakes.get(role)?.take(socket) === true
        if (!isTaken) socket?.destroy()
        this.#line.tell('taken', { id, isTaken })
      },
    }
  }

  token(identity: string): TokenPort {
    const port = this.#tokens.get(identity)
    invariant(port !== undefined, `no token of ${identity} was sent`)
    return port
  }

  keys(issuer: string): ProviderKeys {
    const port = this.#keys.get(issuer)
    invariant(port !== undefined, `no keys of ${issuer} were sent`)
    return port
  }

  async tls(place: TlsPlace): Promise<TlsContext> {
    const files = this.#files.get(place.path)
    invariant(files !== undefined, `no certificates for ${place.path} were sent`)
    const context = await openContext(this.#machine, place, files.ports)
    this.#contexts.push(context)
    return context
  }

  intake(role: RoleName): RemoteIntake {
    const intake = this.#intakes.get(role)
    invariant(intake !== undefined, `nobody accepts connections for ${role}`)
    return intake
  }

  /** Ends what was opened here. */
  close(): void {
    for (const context of this.#contexts) context.close()
  }
}

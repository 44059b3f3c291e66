/**
 * The supervisor's end of a line to one worker: what is owned goes out as snapshots, requests come back.
 * Floor 7; starts no process. A snapshot is sent before the answer that speaks of it, since both go the same way.
 */
import type { KeySet, ProviderKeys, TokenPort, TokenSnapshot } from '../auth/index.ts'
import { invariant, type Snapshot, type SnapshotSource } from '../base/index.ts'
import type { FileContents } from '../net/index.ts'
import type { Line } from './line.ts'
import type { FileOctets, NewsHandlers, Orders } from './messages.ts'

/** Files that fit together, which change. A TlsContext is one. */
export interface PublishedFiles extends Pick<SnapshotSource<unknown>, 'subscribe'> {
  readonly contents: FileContents
}

/** What is published, by name. */
export interface Publication {
  readonly tokens: ReadonlyMap<string, TokenPort>
  readonly keys: ReadonlyMap<string, ProviderKeys>
  readonly files: ReadonlyMap<string, PublishedFiles>
}

/**
 * Serves one worker from now on: gives it its orders with all that there is, then what changes. Returns the end of it.
 * @param publication what is owned, perhaps still being opened
 * @param orders what is not published, such as the configuration
 * @param news hears what the worker tells
 */
export function publish(
  line: Line,
  publication: Publication | Promise<Publication>,
  orders: () => Omit<Orders, 'tokens' | 'keys' | 'files'>,
  news: NewsHandlers,
): () => void {
  const ends: (() => void)[] = []
  let hasEnded = false
  const follow = ({ tokens, keys, files }: Publication): void => {
    if (hasEnded) return
    for (const [identity, { tokens: source }] of tokens)
      ends.push(source.subscribe((snapshot) => line.tell('token', { identity, snapshot })))
    for (const [issuer, { snapshots }] of keys)
      ends.push(snapshots.subscribe((snapshot) => line.tell('keys', { issuer, snapshot })))
    for (const [path, source] of files)
      ends.push(source.subscribe(() => line.tell('files', { path, files: octetsOf(source) })))
  }
  line.listen(
    {
      orders: async () => {
        const owned = await publication
        follow(owned)
        return {
          ...orders(),
          tokens: record(owned.tokens, (port): Snapshot<TokenSnapshot> | null => port.tokens.current),
          keys: record(owned.keys, (port): Snapshot<KeySet> | null => port.snapshots.current),
          files: record(owned.files, octetsOf),
        }
      },
      token: async ({ identity, request }) =>
        named((await publication).tokens, identity).requestToken(request),
      keys: async ({ issuer, request }) => named((await publication).keys, issuer).request(request),
    },
    news,
  )
  return () => {
    hasEnded = true
    for (const end of ends) end()
  }
}

function named<T>(ports: ReadonlyMap<string, T>, name: string): T {
  const port = ports.get(name)
  invariant(port !== undefined, `a worker asks for ${name}, which nobody owns`)
  return port
}

function record<T, U>(map: ReadonlyMap<string, T>, read: (value: T) => U): Record<string, U> {
  return Object.fromEntries([...map].map(([name, value]) => [name, read(value)]))
}

/** What fits together was read, so that there is no error among it. */
function octetsOf({ contents }: PublishedFiles): FileOctets {
  return Object.fromEntries(
    [...contents].filter((entry): entry is [string, Buffer] => Buffer.isBuffer(entry[1])),
  )
}

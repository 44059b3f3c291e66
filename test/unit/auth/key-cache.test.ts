import { expect, test } from 'vitest'
import { KeyCache, KeyKeeper, type FileFacts, type KeyCacheFiles } from '../../../src/auth/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { recordingLog, until } from '../../support/gate-bench.ts'
import { TestIssuer } from '../../support/issuer.ts'

const FOLDER = '/var/lib/authgw'
const DAY_MS = 86_400_000

/** A disk with one folder. */
class FakeDisk implements KeyCacheFiles {
  readonly ownUid = 1000
  folder: FileFacts | null = { kind: 'folder', mode: 0o700, uid: 1000, sizeBytes: 0 }
  file: { facts: FileFacts; text: string } | null = null
  path = ''
  isBroken = false

  async stat(path: string): Promise<FileFacts | null> {
    this.#failIfBroken()
    expect(path).toBe(FOLDER)
    return Promise.resolve(this.folder)
  }
  async read(path: string): Promise<{ facts: FileFacts; text: string } | null> {
    this.#failIfBroken()
    this.path = path
    return Promise.resolve(this.file)
  }
  async writeAtomically(path: string, text: string): Promise<void> {
    this.#failIfBroken()
    this.path = path
    this.file = { facts: { kind: 'file', mode: 0o600, uid: 1000, sizeBytes: text.length }, text }
    return Promise.resolve()
  }
  #failIfBroken(): void {
    if (this.isBroken) throw Object.assign(new Error('EIO'), { code: 'EIO' })
  }
}

async function bench(disk = new FakeDisk(), issuerOf?: TestIssuer, clock = new FakeClock()) {
  const issuer = issuerOf ?? (await TestIssuer.create(clock))
  const lines: Record<string, unknown>[] = []
  const log = recordingLog(lines)
  const cache = new KeyCache(`${FOLDER}/`, issuer.issuer, disk, log)
  const keeper = new KeyKeeper(
    { issuer: issuer.issuer },
    { clock, log, fetch: issuer.fetch, readFile: () => Promise.reject(new Error('none')), cache },
  )
  return {
    disk,
    issuer,
    clock,
    cache,
    keeper,
    lines,
    warnings: () => lines.filter((line) => line['level'] === 'warn'),
  }
}

/** A disk on which a process has left its keys. */
async function usedDisk() {
  const first = await bench()
  first.keeper.start()
  await until(() => first.disk.file !== null)
  first.keeper.close()
  return first
}

test('each good set is kept on disk, under a name that is not the provider’s text', async () => {
  const { disk, clock, issuer, keeper } = await usedDisk()
  expect(disk.path).toMatch(/^\/var\/lib\/authgw\/keys-[0-9a-f]{16}\.json$/)
  expect(JSON.parse(disk.file!.text)).toEqual({
    version: 1,
    issuer: issuer.issuer,
    fetched_at_ms: clock.wallMs(),
    document: JSON.stringify(issuer.jwks()),
  })
  expect(keeper.state.origin).toBe('network')
})

test('a restart during an outage still validates, with the age of the stored fetch', async () => {
  const { disk, clock, issuer } = await usedDisk()
  await clock.advance(3_600_000)
  issuer.goDown()
  const restarted = await bench(disk, issuer, clock)
  restarted.keeper.start()
  await until(() => restarted.keeper.state.keyCount === 1)
  expect(restarted.keeper.state).toMatchObject({ origin: 'disk', ageMs: 3_600_000, hadKeys: true })
  await clock.advance(DAY_MS - 3_600_000)
  expect(restarted.keeper.state).toMatchObject({ origin: 'none', keyCount: 0 })
}, 20_000)

test('the network wins over the disk, whichever is quicker', async () => {
  const { disk, clock, issuer } = await usedDisk()
  await issuer.addKey('ES256', 'new')
  const restarted = await bench(disk, issuer, clock)
  restarted.keeper.start()
  await until(() => restarted.keeper.state.origin === 'network')
  await settle()
  expect(restarted.keeper.state).toMatchObject({ origin: 'network', keyCount: 2 })
})

test('a stored set beyond the stale limit is not used', async () => {
  const { disk, clock, issuer } = await usedDisk()
  await clock.advance(DAY_MS)
  issuer.goDown()
  const restarted = await bench(disk, issuer, clock)
  restarted.keeper.start()
  await until(() =>
    restarted.warnings().some((line) => String(line['message']).includes('older than key_max_stale')),
  )
  expect(restarted.keeper.state.keyCount).toBe(0)
})

test('a fetch time in the future counts as stale: usable, but as old as a set that is due', async () => {
  const { disk, clock, issuer } = await usedDisk()
  clock.jumpWall(-3_600_000)
  issuer.goDown()
  const restarted = await bench(disk, issuer, clock)
  restarted.keeper.start()
  await until(() => restarted.keeper.state.keyCount === 1)
  expect(restarted.keeper.state).toMatchObject({ origin: 'disk', ageMs: 600_000 })
})

test.each<[string, (disk: FakeDisk) => void, string]>([
  [
    'a file that others may read',
    (disk) => (disk.file = withFacts(disk, { mode: 0o640 })),
    'it has a mode other than 0600',
  ],
  [
    'a file that others may write',
    (disk) => (disk.file = withFacts(disk, { mode: 0o602 })),
    'it has a mode other than 0600',
  ],
  [
    'a file of another user',
    (disk) => (disk.file = withFacts(disk, { uid: 0 })),
    'it belongs to another user',
  ],
  ['a link', (disk) => (disk.file = withFacts(disk, { kind: 'other' })), 'it is not a regular file'],
  ['a huge file', (disk) => (disk.file = withFacts(disk, { sizeBytes: 1e9 })), 'it is too large'],
  [
    'a folder that others may write to',
    (disk) => (disk.folder = { ...disk.folder!, mode: 0o777 }),
    'its folder is writable by others: chmod go-w',
  ],
  [
    'a folder of another user',
    (disk) => (disk.folder = { ...disk.folder!, uid: 33 }),
    'its folder belongs to another user',
  ],
  [
    'a folder that is a file',
    (disk) => (disk.folder = { ...disk.folder!, kind: 'file' }),
    'its folder does not exist: create it with mode 0700',
  ],
  ['no folder', (disk) => (disk.folder = null), 'its folder does not exist: create it with mode 0700'],
  [
    'another issuer',
    (disk) => (disk.file = text(disk, (stored) => ({ ...stored, issuer: 'https://x' }))),
    'it is of another issuer',
  ],
  [
    'another version',
    (disk) => (disk.file = text(disk, (stored) => ({ ...stored, version: 2 }))),
    'it has another format',
  ],
  ['a list', (disk) => (disk.file = text(disk, () => [])), 'it has another format'],
  [
    'no time',
    (disk) => (disk.file = text(disk, (stored) => ({ ...stored, fetched_at_ms: 'x' }))),
    'it has another format',
  ],
  [
    'half a file',
    (disk) => (disk.file = { ...disk.file!, text: disk.file!.text.slice(0, 50) }),
    'it cannot be read',
  ],
  ['a broken disk', (disk) => (disk.isBroken = true), 'it cannot be read'],
])('%s is ignored with a warning', async (_what, spoil, complaint) => {
  const { disk, clock, issuer } = await usedDisk()
  spoil(disk)
  issuer.goDown()
  const { cache, warnings } = await bench(disk, issuer, clock)
  expect(await cache.load()).toBeNull()
  expect(warnings().map((line) => line['message'])).toEqual([`the key cache file is ignored: ${complaint}`])
})

test('a folder of root is as good as our own', async () => {
  const { disk, clock, issuer } = await usedDisk()
  disk.folder = { ...disk.folder!, uid: 0, mode: 0o755 }
  expect(await (await bench(disk, issuer, clock)).cache.load()).not.toBeNull()
})

test('stored keys are checked as those from the network are', async () => {
  const { disk, clock, issuer } = await usedDisk()
  disk.file = text(disk, (stored) => ({ ...stored, document: '{"keys":[{"kty":"oct","k":"x"}]}' }))
  issuer.goDown()
  const restarted = await bench(disk, issuer, clock)
  restarted.keeper.start()
  await until(() => restarted.warnings().some((line) => line['message'] === 'the stored keys are of no use'))
  expect(restarted.keeper.state.keyCount).toBe(0)
})

test('no file is no trouble; a disk that cannot be written is a warning and keys still work', async () => {
  const disk = new FakeDisk()
  const { cache, warnings, keeper } = await bench(disk)
  expect(await cache.load()).toBeNull()
  expect(warnings()).toEqual([])
  disk.isBroken = true
  keeper.start()
  await until(() => keeper.state.keyCount === 1)
  await until(() => warnings().some((line) => String(line['message']).includes('cannot be written')))
  disk.isBroken = false
  disk.folder = { ...disk.folder!, mode: 0o722 }
  await cache.save({ fetchedAtMs: 1, text: '{}' })
  expect(disk.file).toBeNull()
})

function withFacts(disk: FakeDisk, facts: Partial<FileFacts>) {
  return { ...disk.file!, facts: { ...disk.file!.facts, ...facts } }
}

function text(disk: FakeDisk, change: (stored: Record<string, unknown>) => unknown) {
  const stored = JSON.parse(disk.file!.text) as Record<string, unknown>
  return { ...disk.file!, text: JSON.stringify(change(stored)) }
}

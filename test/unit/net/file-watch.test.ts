import { describe, expect, test, vi } from 'vitest'
import { FileWatch } from '../../../src/net/index.ts'
import type { FileContents, WatchFolder } from '../../../src/net/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

/** Files in memory whose folders tell of changes when asked to. */
function files(contents: Record<string, string>) {
  const clock = new FakeClock()
  const disk = new Map(Object.entries(contents))
  const watched = new Map<string, { onEvent: () => void; onLost: (error: Error) => void }>()
  const reported: FileContents[] = []
  let watchCalls = 0
  const watchFolder: WatchFolder = (folder, onEvent, onLost) => {
    watchCalls++
    watched.set(folder, { onEvent, onLost })
    return () => watched.delete(folder)
  }
  const watch = new FileWatch({
    clock,
    paths: [...disk.keys()],
    onChanged: (changed) => reported.push(changed),
    readFile: (path) => {
      const text = disk.get(path)
      if (text !== undefined) return Promise.resolve(Buffer.from(text))
      return Promise.reject(Object.assign(new Error('gone'), { code: 'ENOENT' }))
    },
    watchFolder,
  })
  return { clock, disk, watched, reported, watch, calls: () => watchCalls }
}

describe('a file watch', () => {
  test('reads all files, and an unreadable one is an error in its place', async () => {
    const { watch, disk } = files({ '/tls/cert.pem': 'a', '/tls/key.pem': 'b' })
    disk.delete('/tls/key.pem')
    const contents = await watch.read()
    expect(contents.get('/tls/cert.pem')).toEqual(Buffer.from('a'))
    expect(contents.get('/tls/key.pem')).toMatchObject({ code: 'ENOENT' })
  })

  test('reports a change once the folder has been quiet for 100 ms, once', async () => {
    const { watch, disk, watched, clock, reported } = files({ '/tls/cert.pem': 'a', '/tls/key.pem': 'b' })
    await watch.read()
    watch.start()
    expect([...watched.keys()]).toEqual(['/tls'])
    disk.set('/tls/cert.pem', 'a2')
    watched.get('/tls')!.onEvent()
    await clock.advance(60)
    disk.set('/tls/key.pem', 'b2')
    watched.get('/tls')!.onEvent()
    await clock.advance(99)
    expect(reported).toHaveLength(0)
    await clock.advance(1)
    expect(reported).toHaveLength(1)
    expect(reported[0]!.get('/tls/key.pem')?.toString()).toBe('b2')
    watched.get('/tls')!.onEvent()
    await clock.advance(60_000)
    expect(reported).toHaveLength(1)
  })

  test('finds a change by reading every 30 s when no event comes', async () => {
    const { watch, disk, clock, reported } = files({ '/tls/cert.pem': 'a' })
    await watch.read()
    watch.start()
    await clock.advance(30_000)
    expect(reported).toHaveLength(0)
    disk.set('/tls/cert.pem', 'a2')
    await clock.advance(30_000)
    expect(reported).toHaveLength(1)
  })

  test('watches a folder again, 30 s later, after its watch was lost', async () => {
    const { watch, watched, clock, calls } = files({ '/tls/cert.pem': 'a' })
    await watch.read()
    watch.start()
    watched.get('/tls')!.onLost(new Error('EMFILE'))
    expect(watched.size).toBe(0)
    await clock.advance(30_000)
    expect(watched.size).toBe(1)
    expect(calls()).toBe(2)
  })

  test('lives without watches where the system gives none', async () => {
    const clock = new FakeClock()
    let text = 'a'
    const onChanged = vi.fn<(contents: FileContents) => void>()
    const watch = new FileWatch({
      clock,
      paths: ['/nfs/cert.pem'],
      onChanged,
      readFile: () => Promise.resolve(Buffer.from(text)),
      watchFolder: () => {
        throw new Error('ENOSPC')
      },
    })
    await watch.read()
    watch.start()
    text = 'b'
    await clock.advance(30_000)
    expect(onChanged).toHaveBeenCalledTimes(1)
  })

  test('reports that a file has gone, and that it is back', async () => {
    const { watch, disk, reported } = files({ '/tls/cert.pem': 'a' })
    await watch.read()
    disk.delete('/tls/cert.pem')
    await watch.check()
    expect(reported[0]!.get('/tls/cert.pem')).toBeInstanceOf(Error)
    disk.set('/tls/cert.pem', 'a')
    await watch.check()
    expect(reported).toHaveLength(2)
  })

  test('misses nothing that changes while it reads', async () => {
    const { watch, disk, reported } = files({ '/tls/cert.pem': 'a' })
    await watch.read()
    disk.set('/tls/cert.pem', 'b')
    const first = watch.check()
    disk.set('/tls/cert.pem', 'c')
    await watch.check()
    await first
    await settle()
    expect(reported.at(-1)!.get('/tls/cert.pem')?.toString()).toBe('c')
  })

  test('says nothing more once it is closed', async () => {
    const { watch, disk, watched, clock, reported } = files({ '/tls/cert.pem': 'a' })
    await watch.read()
    watch.start()
    disk.set('/tls/cert.pem', 'b')
    watched.get('/tls')!.onEvent()
    watch.close()
    await clock.advance(60_000)
    await watch.check()
    expect(reported).toHaveLength(0)
    expect(watched.size).toBe(0)
    expect(clock.timerCount).toBe(0)
  })
})

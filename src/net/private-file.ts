/**
 * Small private files on disk: read together with the facts about what was opened, replaced in one step, mode 0600.
 * Floor 4; knows no key set: auth/ decides what the facts allow. open(2) O_NOFOLLOW, rename(2).
 */
import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { lstat, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { randomBytes } from 'node:crypto'
import type { FileFacts, KeyCacheFiles } from '../auth/index.ts'
import { errorCode } from './transport-error.ts'

const PRIVATE_MODE = 0o600

/** The operating system's files, as the key cache needs them. */
export class PrivateFiles implements KeyCacheFiles {
  readonly ownUid: number

  /** @param ownUid default: the effective uid of this process; −1 where the system has none */
  constructor(ownUid: number = process.geteuid?.() ?? -1) {
    this.ownUid = ownUid
  }

  async stat(path: string): Promise<FileFacts | null> {
    try {
      return factsOf(await lstat(path))
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null
      throw error
    }
  }

  async read(
    path: string,
    maxBytes: number,
  ): Promise<{ readonly facts: FileFacts; readonly text: string } | null> {
    let file
    try {
      // O_NONBLOCK: a pipe put in the file's place would hold open() for ever.
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null
      throw error
    }
    try {
      const facts = factsOf(await file.stat())
      if (facts.kind !== 'file') return { facts, text: '' }
      const bytes = Buffer.alloc(Math.min(facts.sizeBytes, maxBytes))
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
      return { facts, text: bytes.toString('utf8', 0, bytesRead) }
    } finally {
      await file.close()
    }
  }

  async writeAtomically(path: string, text: string): Promise<void> {
    const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`
    try {
      const file = await open(draft, 'wx', PRIVATE_MODE)
      try {
        await file.writeFile(text)
        // On disk before it is renamed: after a power cut the name must not lead to an empty file.
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, path)
    } catch (error) {
      await unlink(draft).catch(() => {})
      throw error
    }
    await syncFolder(dirname(path))
  }
}

/** The rename itself on disk. Not every file system can; then it is the next to be lost, not the file. */
async function syncFolder(folder: string): Promise<void> {
  const file = await open(folder, 'r')
  try {
    await file.sync().catch(() => {})
  } finally {
    await file.close()
  }
}

function factsOf(stats: Stats): FileFacts {
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : 'other',
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    sizeBytes: stats.size,
  }
}

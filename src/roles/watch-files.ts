/**
 * Files that the configuration names into one call per change, for secrets, tokens and keys that others renew.
 * Floor 7; reads nothing of what they mean. Certificates are watched by their own contexts.
 */
import { FileWatch } from '../net/index.ts'
import type { Machine } from './machine.ts'

/** A watch that runs, or stands for no files at all. */
export interface WatchedFiles {
  close(): void
}

/**
 * Watches `paths`, of which those that are undefined are left out. Resolves when what they hold now counts as known.
 * @param onChanged called after each change, whether or not they can be read
 */
export async function watchFiles(
  machine: Machine,
  paths: readonly (string | undefined)[],
  onChanged: () => void,
): Promise<WatchedFiles> {
  const named = paths.filter((path) => path !== undefined)
  if (named.length === 0) return { close: () => {} }
  const { clock, log } = machine
  const watch = new FileWatch({ clock, log, paths: named, onChanged })
  await watch.read()
  watch.start()
  return watch
}

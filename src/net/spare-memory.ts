/**
 * Memory that is free inside the process into memory of the system: a collection of V8's heap, and glibc's malloc_trim.
 * Floor 4; does not know when that is worth it (ebb.ts). Where either is not to be had, it does nothing
 * (docs/adr/0017-memory-goes-back.md).
 */
import type * as Ffi from 'node:ffi'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Ways of giving memory back; both stop the event loop while they run. */
export interface SpareMemory {
  /** Collects garbage: what JavaScript objects held outside of the heap is free after it. */
  collect(): void
  /** Gives free pages to the system: glibc by itself gives back only what is free at the end of its heap. */
  trim(): void
  /** Octets of the process that are in memory. */
  residentBytes(): number
}

/** The memory of this process. */
export class ProcessMemory implements SpareMemory {
  #trim: (() => void) | null = null

  /** V8 shows its collector to contexts that are made after the flag was set; they are let go, since one takes half a MiB. */
  collect(): void {
    try {
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void
      collect()
    } catch {
      // Then it is done when V8 thinks fit.
    }
  }

  trim(): void {
    this.#trim ??= findTrim() ?? nothing
    this.#trim()
  }

  residentBytes(): number {
    return process.memoryUsage.rss()
  }
}

/** `malloc_trim(0)`; null before Node 26, with another C library, and where Node's permission model forbids it. */
function findTrim(): (() => void) | null {
  try {
    const ffi = withoutWarnings(() => process.getBuiltinModule('node:ffi')) as typeof Ffi | undefined
    if (ffi === undefined || process.platform !== 'linux') return null
    // The library is kept: the function is good as long as it is open.
    const { lib, functions } = ffi.dlopen(null, MALLOC_TRIM)
    return () => {
      if (lib !== null) functions.malloc_trim(0n)
    }
  } catch {
    return null
  }
}

const MALLOC_TRIM = { malloc_trim: { arguments: ['u64'], return: 'i32' } } as const

/** That a module is experimental is no line of the log: it says nothing to operators. */
function withoutWarnings<T>(load: () => T): T {
  const before: unknown = Reflect.get(process, 'emitWarning')
  Reflect.set(process, 'emitWarning', nothing)
  try {
    return load()
  } finally {
    Reflect.set(process, 'emitWarning', before)
  }
}

function nothing(): void {
  // There is no such way here.
}

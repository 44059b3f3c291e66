import type { LinePort } from '../../src/roles/line.ts'

/** Two ends of a pipe in one process. Values travel as copies, in order, each in a turn of its own. */
export interface PipePair {
  readonly left: LinePort
  readonly right: LinePort
  /** All that has gone through, as text. */
  readonly wire: string[]
  /** While true, nothing arrives; set back to false, all that waits does. */
  isHeld: boolean
  /** From now on nothing arrives: a process has gone. */
  cut(): void
}

/** How values are copied: as JSON, or as V8 does it between processes. */
export type PipeCopy = 'json' | 'clone'

/** Makes one. */
export function pipePair(copy: PipeCopy = 'json'): PipePair {
  const wire: string[] = []
  const state = { isHeld: false, isCut: false }
  const waiting: (() => void)[] = []
  const deliver = (): void => {
    while (!state.isHeld && !state.isCut && waiting.length > 0) waiting.shift()!()
  }
  const end = (listeners: ((message: unknown) => void)[]) => (message: object) => {
    const text = JSON.stringify(message)
    wire.push(text)
    const copied: unknown = copy === 'json' ? JSON.parse(text) : structuredClone(message)
    waiting.push(() => {
      for (const listener of listeners) listener(copied)
    })
    setImmediate(deliver)
  }
  const toLeft: ((message: unknown) => void)[] = []
  const toRight: ((message: unknown) => void)[] = []
  return {
    left: { send: end(toRight), onMessage: (listener) => void toLeft.push(listener) },
    right: { send: end(toLeft), onMessage: (listener) => void toRight.push(listener) },
    wire,
    get isHeld() {
      return state.isHeld
    },
    set isHeld(value) {
      state.isHeld = value
      setImmediate(deliver)
    },
    cut: () => {
      state.isCut = true
    },
  }
}

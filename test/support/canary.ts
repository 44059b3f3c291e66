/**
 * Secrets that betray themselves: values made to be found again in whatever a process writes, in the forms that secrets
 * take on their way (as they are, in base64 at any offset, percent-encoded).
 */
import { randomBytes } from 'node:crypto'

/** A place where a planted secret has come out. */
export interface Leak {
  /** Name of the secret. */
  readonly secret: string
  /** Where it was found. */
  readonly where: string
  /** What stands around it, the secret itself cut. */
  readonly around: string
}

/** Shorter pieces than this could stand anywhere by chance. */
const MIN_NEEDLE_LENGTH = 16

/** Plants secrets and looks for them. */
export class Canary {
  readonly #needles: { secret: string; needle: string }[] = []
  readonly #outputs: { where: string; text: string }[] = []

  /** A new secret that reads `canary` and random letters, such as for a password. */
  plant(name: string): string {
    const value = `canary${randomBytes(12).toString('hex')}`
    this.watch(name, value)
    return value
  }

  /** Looks for `value` from now on, whole and encoded; returns it. */
  watch(name: string, value: string): string {
    const forms = new Set([value, encodeURIComponent(value), ...base64Forms(value)])
    for (const needle of forms)
      if (needle.length >= MIN_NEEDLE_LENGTH) this.#needles.push({ secret: name, needle })
    return value
  }

  /** Looks for each segment of a JWT apart from its header, which is no secret. */
  watchToken(name: string, token: string): string {
    for (const segment of token.split('.').slice(1)) this.watch(name, segment)
    return token
  }

  /** Looks for each line of a PEM key. */
  watchKey(name: string, pem: string): string {
    for (const line of pem.split('\n')) if (!line.startsWith('---')) this.watch(name, line)
    return pem
  }

  /** Keeps what somebody could read. */
  collect(where: string, text: string): void {
    this.#outputs.push({ where, text })
  }

  /** Octets collected, by where: to see that there was something to look at. */
  get collected(): Readonly<Record<string, number>> {
    const sizes: Record<string, number> = {}
    for (const { where, text } of this.#outputs) sizes[where] = (sizes[where] ?? 0) + text.length
    return sizes
  }

  /** Every secret that has come out. */
  leaks(): Leak[] {
    return this.#outputs.flatMap(({ where, text }) =>
      this.#needles.flatMap(({ secret, needle }) => {
        const at = text.indexOf(needle)
        if (at < 0) return []
        const end = at + needle.length
        return [
          { secret, where, around: `${text.slice(Math.max(0, at - 80), at)}<…>${text.slice(end, end + 40)}` },
        ]
      }),
    )
  }
}

/** The octets that base64 of `value` shows wherever it begins: at each of three offsets, the uncertain ends cut. */
function base64Forms(value: string): string[] {
  return [0, 1, 2].flatMap((offset) => {
    const padded = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)])
    const cut = (text: string): string => text.replace(/=+$/, '').slice(offset === 0 ? 0 : 4, -2)
    return [cut(padded.toString('base64')), cut(padded.toString('base64url'))]
  })
}

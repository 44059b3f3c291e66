/**
 * A mixed load that counts how its calls end: unary and streaming calls, cancels, deadlines that pass, refusals of the
 * server's own, and clients that go and come back.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PairIngress } from '../support/gateway-pair.ts'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import { echo } from '../support/grpc-peer.ts'
import type { GrpcCaller, Outcome, ServedCall } from '../support/grpc-peer.ts'

const [OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED] = [0, 1, 3, 4]

/** What a call asks the server to do. */
const DO_HEADER = 'x-do'

/** Kinds of call, with how often each is made and how it has to end. */
const KINDS = {
  unary: { weight: 50, status: OK },
  large: { weight: 3, status: OK },
  stream: { weight: 15, status: OK },
  cancel: { weight: 10, status: CANCELLED },
  cancelStream: { weight: 7, status: CANCELLED },
  deadline: { weight: 5, status: DEADLINE_EXCEEDED },
  refused: { weight: 10, status: INVALID_ARGUMENT },
} as const
type Kind = keyof typeof KINDS

const names = Object.keys(KINDS) as Kind[]
const totalWeight = names.reduce((sum, name) => sum + KINDS[name].weight, 0)

/** The server's side of it. */
export async function serve(call: ServedCall): Promise<void> {
  const [what] = call.metadata[DO_HEADER] ?? []
  if (what === 'refuse') return call.finish(INVALID_ARGUMENT, 'this is asked for')
  if (what === 'wait') {
    await Promise.race([call.cancelled, sleep(5_000)])
    return call.finish()
  }
  return echo(call)
}

/** Workers that call and count until they are stopped. */
export class MixedLoad {
  /** Kind → calls that ended as they had to. */
  readonly ended: Record<string, number> = {}
  /** Kind, status and message → calls that ended otherwise. */
  readonly unexpected: Record<string, number> = {}
  reconnects = 0
  readonly #ingress: PairIngress
  readonly #workers: Promise<void>[] = []
  /** So many of the workers go on. */
  #wanted: number

  constructor(ingress: PairIngress, workerCount: number) {
    this.#ingress = ingress
    this.#wanted = workerCount
    for (let worker = 0; worker < workerCount; worker++) this.#workers.push(this.#work(worker))
  }

  /** Lets all but so many of the workers end, each after its call. */
  keep(workerCount: number): void {
    this.#wanted = Math.min(this.#wanted, workerCount)
  }

  /** Resolves when the last call has ended. */
  async stop(): Promise<void> {
    this.keep(0)
    await Promise.all(this.#workers)
  }

  get callCount(): number {
    return [...Object.values(this.ended), ...Object.values(this.unexpected)].reduce((sum, n) => sum + n, 0)
  }

  async #work(worker: number): Promise<void> {
    while (worker < this.#wanted) {
      const caller = connectGrpcJs(this.#ingress)
      this.reconnects++
      for (let calls = 50 + 400 * Math.random(); calls > 0 && worker < this.#wanted; calls--) {
        await this.#call(caller)
        await sleep(20 * Math.random())
      }
      caller.close()
    }
  }

  async #call(caller: GrpcCaller): Promise<void> {
    const kind = pickKind()
    const outcome = await RUN[kind](caller)
    if (outcome.status === KINDS[kind].status) this.ended[kind] = (this.ended[kind] ?? 0) + 1
    else {
      const name = `${kind}: ${outcome.status} ${outcome.message}`
      this.unexpected[name] = (this.unexpected[name] ?? 0) + 1
    }
  }
}

const octets = (mostBytes: number): Buffer => Buffer.alloc(Math.floor(mostBytes * Math.random()), 0x61)

/** What a caller does, by kind. An echo that is not what was sent counts as status −1. */
const RUN: Readonly<Record<Kind, (caller: GrpcCaller) => Promise<Outcome>>> = {
  unary: async (caller) => exchange(caller, [octets(4_000)]),
  large: async (caller) => exchange(caller, [octets(2_000_000)]),
  stream: async (caller) =>
    exchange(
      caller,
      Array.from({ length: 20 }, () => octets(20_000)),
    ),
  refused: (caller) => caller.unary(octets(1_000), { metadata: { [DO_HEADER]: ['refuse'] } }),
  deadline: (caller) =>
    caller.unary(octets(1_000), { metadata: { [DO_HEADER]: ['wait'] }, timeoutMs: 50 + 300 * Math.random() }),
  async cancel(caller) {
    const call = caller.open({ metadata: { [DO_HEADER]: ['wait'] } })
    void call.send(octets(10_000))
    await sleep(30 * Math.random())
    call.cancel()
    return call.outcome
  },
  async cancelStream(caller) {
    const call = caller.open()
    for (let sent = 0; sent < 5; sent++) void call.send(octets(100_000))
    await sleep(30 * Math.random())
    call.cancel()
    return call.outcome
  },
}

async function exchange(caller: GrpcCaller, messages: readonly Buffer[]): Promise<Outcome> {
  const call = caller.open()
  for (const message of messages) await call.send(message)
  call.end()
  const outcome = await call.outcome
  const isSame =
    outcome.replies.length === messages.length &&
    outcome.replies.every((reply, place) => reply.length === messages[place]!.length)
  return outcome.status === OK && !isSame ? { ...outcome, status: -1, message: 'not what was sent' } : outcome
}

function pickKind(): Kind {
  let left = totalWeight * Math.random()
  for (const name of names) {
    left -= KINDS[name].weight
    if (left < 0) return name
  }
  return 'unary'
}

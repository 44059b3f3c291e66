/**
 * A pipe between two processes into questions that are answered and news that are told, in the order they were sent.
 * Floor 7; knows what is said only by its type (messages.ts), and no process: a port sends and receives plain values.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../base/index.ts'
import type { Answers, News, NewsHandlers, Questions, QuestionHandlers } from './messages.ts'

/** One end of a pipe. Values arrive as copies. */
export interface LinePort {
  /** Sends a value, with a socket that stays open here too. When the other end has gone, nothing happens. */
  send(message: object, socket?: Socket): void
  /** Calls `listener` with each value that arrives, and the socket that came with it. */
  onMessage(listener: (message: unknown, socket?: Socket) => void): void
}

/** The other end has gone, or its answer was an error. */
export class LineError extends Error {
  override readonly name = 'LineError'
}

/** What travels. */
interface Envelope {
  /** Monotonic ms of the sender's clock. */
  readonly sentMs: number
  readonly kind: 'ask' | 'answer' | 'failure' | 'tell'
  /** Of the question; 0 for news. */
  readonly id: number
  readonly name: string
  readonly body: unknown
}

/** News that came, with the socket that came along. */
interface Arrived {
  readonly envelope: Envelope
  readonly socket: Socket | undefined
}

/** One end of a line, for questions of one direction and news of both. */
export class Line {
  readonly #port: LinePort
  readonly #clock: Clock
  readonly #open = new Map<number, PromiseWithResolvers<unknown>>()
  #nextId = 1
  #questions: QuestionHandlers = {}
  #news: NewsHandlers = {}
  /** What came before anybody listened; null once somebody does. */
  #early: Arrived[] | null = []
  #isClosed = false
  /**
   * Our clock minus theirs, as the quickest message so far has shown it: a message cannot arrive before it was sent, so
   * the least difference is the nearest to the truth.
   */
  #offsetMs = Infinity

  constructor(port: LinePort, clock: Clock) {
    this.#port = port
    this.#clock = clock
    port.onMessage((message, socket) => this.#receive({ envelope: message as Envelope, socket }))
  }

  /** A monotonic time of the other process on this one's clock. Late by the way of the quickest message, never early. */
  toOwnMs(theirMs: number): number {
    return theirMs + this.#offsetMs
  }

  /** Answers questions and hears news from now on; those that came before are first. */
  listen(questions: QuestionHandlers, news: NewsHandlers): void {
    this.#questions = questions
    this.#news = news
    const early = this.#early ?? []
    this.#early = null
    for (const arrived of early) this.#take(arrived)
  }

  /** Asks. @throws LineError when the other end has gone, or fails to answer */
  ask<K extends keyof Questions>(name: K, body: Questions[K]): Promise<Answers[K]> {
    if (this.#isClosed) return Promise.reject(new LineError('the other process has gone'))
    const id = this.#nextId++
    const answer = Promise.withResolvers<unknown>()
    this.#open.set(id, answer)
    this.#send('ask', id, name, body)
    return answer.promise as Promise<Answers[K]>
  }

  /** Tells, and sends a socket along. */
  tell<K extends keyof News>(name: K, body: News[K], socket?: Socket): void {
    this.#send('tell', 0, name, body, socket)
  }

  /** The other end has gone: questions that are open fail. */
  close(): void {
    this.#isClosed = true
    for (const answer of this.#open.values()) answer.reject(new LineError('the other process has gone'))
    this.#open.clear()
  }

  #send(kind: Envelope['kind'], id: number, name: string, body: unknown, socket?: Socket): void {
    if (this.#isClosed) return
    const envelope: Envelope = { sentMs: this.#clock.nowMs(), kind, id, name, body }
    this.#port.send(envelope, socket)
  }

  #receive(arrived: Arrived): void {
    const { envelope } = arrived
    this.#offsetMs = Math.min(this.#offsetMs, this.#clock.nowMs() - envelope.sentMs)
    if (envelope.kind === 'answer' || envelope.kind === 'failure') this.#settle(envelope)
    else if (this.#early === null) this.#take(arrived)
    else this.#early.push(arrived)
  }

  #settle({ id, kind, body }: Envelope): void {
    const answer = this.#open.get(id)
    this.#open.delete(id)
    if (kind === 'answer') answer?.resolve(body)
    else answer?.reject(new LineError(String(body)))
  }

  #take({ envelope: { kind, id, name, body }, socket }: Arrived): void {
    if (kind === 'tell') {
      const hear = this.#news[name as keyof News] as ((body: unknown, socket?: Socket) => void) | undefined
      if (hear === undefined) socket?.destroy()
      else hear(body, socket)
      return
    }
    const reply = this.#questions[name as keyof Questions] as
      ((body: unknown) => Promise<unknown>) | undefined
    const answer = reply === undefined ? Promise.reject(new Error(`nobody answers ${name}`)) : reply(body)
    answer.then(
      (found) => this.#send('answer', id, name, found),
      (error: unknown) => this.#send('failure', id, name, error instanceof Error ? error.message : 'failed'),
    )
  }
}

/**
 * The workers as one: started together, replaced when they die, asked and told together, ended together.
 * Floor 7; knows no process beyond its port, so that tests need none.
 */
import { Backoff, type Clock, type Log } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import { mergeSnapshots, type MetricsSnapshot } from '../telemetry/index.ts'
import type { RoleReport } from './gateway.ts'
import { Line } from './line.ts'
import { toError, type NewsHandlers, type StartFailure, type WorkerReport } from './messages.ts'
import { Dealer, type Dealee } from './dealer.ts'
import type { GateTroubles } from './owners.ts'
import type { SpawnWorker, WorkerProcess } from './spawn.ts'

/** A dead worker is replaced after 100 to 200 ms, doubling while it keeps dying: a fault that stays must not eat the machine. */
const RESTART = { initialMs: 200, maxMs: 30_000 }
/** A worker that served so long has not died of its start. */
const STEADY_MS = 60_000
/** A worker whose event loop has not come round for so many looks is ended: its calls hang, and new ones would. */
const MAX_SILENT_LOOKS = 30
/** A worker that does not give its numbers in time is counted with its last ones. */
const METRICS_MS = 2_000
/** Beyond the time that a drain has, and for an end at once. */
const KILL_MS = 2_000

/** What a crew needs. */
export interface CrewOptions {
  readonly workerCount: number
  readonly spawn: SpawnWorker
  readonly clock: Clock
  readonly log: Log
  /** Gives the worker with this number its orders, when it asks, and what changes. Returns the end of it. */
  readonly serve: (line: Line, number: number, news: NewsHandlers) => () => void
  /** The number of workers that serve, or their trouble, has changed. */
  readonly onChange: () => void
}

/** One place for a worker, and whoever fills it. */
interface Post extends Dealee {
  readonly number: number
  readonly backoff: Backoff
  process: WorkerProcess | null
  line: Line | null
  isServing: boolean
  servingSinceMs: number
  silentLooks: number
  failure: StartFailure | null
  report: WorkerReport | null
  numbers: MetricsSnapshot
}

/** The workers of one gateway. */
export class Crew {
  /** Workers that died and were replaced. */
  restartCount = 0
  /** Deals connections to those that serve. */
  readonly dealer = new Dealer()
  readonly #options: CrewOptions
  readonly #posts: readonly Post[]
  readonly #fallen: MetricsSnapshot[] = []
  readonly #started = Promise.withResolvers<void>()
  readonly #empty = Promise.withResolvers<void>()
  #hasStarted = false
  #isEnding = false

  constructor(options: CrewOptions) {
    const { workerCount, clock } = options
    this.#options = options
    this.#posts = Array.from({ length: workerCount }, (_, index): Post => ({
      number: index + 1,
      deal(connection, socket) {
        this.line?.tell('connection', connection, socket)
      },
      backoff: new Backoff(RESTART, () => clock.random()),
      process: null,
      line: null,
      isServing: false,
      servingSinceMs: 0,
      silentLooks: 0,
      failure: null,
      report: null,
      numbers: [],
    }))
    // Whoever stops a crew before it has started does not wait for it.
    this.#started.promise.catch(() => {})
  }

  /** Starts all; resolves when each listens. Rejects with the first worker's reason why it cannot. */
  start(): Promise<void> {
    for (const post of this.#posts) this.#fill(post)
    return this.#started.promise
  }

  get servingCount(): number {
    return this.#posts.filter(({ isServing }) => isServing).length
  }

  /** Why gates of any worker cannot use the token of an identity. */
  get troubles(): GateTroubles {
    return Object.assign({}, ...this.#posts.map(({ report }) => report?.troubles)) as GateTroubles
  }

  /** The numbers of the status page, worker by worker. */
  get reports(): RoleReport[] {
    return this.#posts.flatMap(({ report }) => report?.roles ?? [])
  }

  /** A line on each worker: its process and its calls. */
  get roster(): (readonly [label: string, value: string])[] {
    return this.#posts.map(({ number, process, isServing, report }) => {
      const calls = report?.roles.reduce((sum, role) => sum + role.calls, 0) ?? 0
      const state = isServing ? `${calls} calls` : process === null ? 'to be replaced' : 'starting'
      return [`worker ${number}`, process === null ? state : `process ${process.pid}, ${state}`]
    })
  }

  /** Ends workers that are silent. Called once a second. */
  look(): void {
    for (const post of this.#posts) {
      if (post.process === null || ++post.silentLooks <= MAX_SILENT_LOOKS) continue
      this.#options.log.error(
        { worker: post.number, pid: post.process.pid, seconds: MAX_SILENT_LOOKS },
        'a worker gives no sign of life and is ended',
      )
      post.silentLooks = 0
      post.process.kill()
    }
  }

  /** The numbers of all workers, and what those that have gone had counted. */
  async metrics(): Promise<MetricsSnapshot[]> {
    await Promise.all(this.#posts.map((post) => this.#askNumbers(post)))
    if (this.#fallen.length > 1) this.#fallen.unshift(await mergeSnapshots(this.#fallen.splice(0)))
    return [...this.#fallen, ...this.#posts.map(({ numbers }) => numbers)]
  }

  /** Has every worker put `config` in place. One that cannot is ended: its successor starts with it. */
  async reload(config: Config): Promise<void> {
    await Promise.all(
      this.#posts.map(async ({ line, process, number }) => {
        try {
          await line?.ask('reload', config)
        } catch (err) {
          this.#options.log.error({ worker: number, err }, 'a worker could not reload and is replaced')
          process?.kill()
        }
      }),
    )
  }

  /** Lets the workers end their calls; resolves when all have gone, after `timeoutMs` and a little at the latest. */
  drain(timeoutMs: number): Promise<void> {
    for (const { line, isServing } of this.#posts) line?.tell(isServing ? 'drain' : 'stop', null)
    return this.#end(timeoutMs + KILL_MS)
  }

  /** Ends all now; resolves when they have gone. */
  stop(): Promise<void> {
    for (const { line } of this.#posts) line?.tell('stop', null)
    return this.#end(KILL_MS)
  }

  async #end(killMs: number): Promise<void> {
    this.#isEnding = true
    this.#endIfEmpty()
    const timer = this.#options.clock.setTimer(killMs, () => {
      for (const { process } of this.#posts) process?.kill()
    })
    await this.#empty.promise
    timer.cancel()
  }

  #endIfEmpty(): void {
    if (this.#isEnding && this.#posts.every(({ process }) => process === null)) this.#empty.resolve()
  }

  #fill(post: Post): void {
    if (this.#isEnding) return
    const { spawn, clock, serve, onChange } = this.#options
    const process = spawn()
    const line = new Line(process.port, clock)
    post.process = process
    post.line = line
    post.silentLooks = 0
    post.failure = null
    const unserve = serve(line, post.number, {
      listening: () => this.#onListening(post),
      taken: (outcome) => this.dealer.settle(post, outcome),
      failed: (failure) => {
        post.failure = failure
      },
      report: (report) => {
        post.silentLooks = 0
        post.report = report
        onChange()
      },
    })
    process.onExit((how) => {
      unserve()
      line.close()
      this.#onExit(post, how)
    })
  }

  #onListening(post: Post): void {
    const { clock, onChange } = this.#options
    post.isServing = true
    post.servingSinceMs = clock.nowMs()
    this.dealer.add(post)
    if (this.servingCount === this.#posts.length) {
      this.#hasStarted = true
      this.#started.resolve()
    }
    onChange()
  }

  #onExit(post: Post, how: string): void {
    const { log, clock, onChange } = this.#options
    if (post.isServing && clock.nowMs() - post.servingSinceMs >= STEADY_MS) post.backoff.reset()
    post.process = null
    post.line = null
    post.isServing = false
    post.report = null
    this.dealer.remove(post)
    this.#keepNumbers(post)
    if (this.#isEnding) return this.#endIfEmpty()
    if (!this.#hasStarted) {
      const { failure } = post
      this.#isEnding = true
      this.#started.reject(
        failure === null ? new Error(`worker ${post.number} ended at its start: ${how}`) : toError(failure),
      )
      return
    }
    const delayMs = post.backoff.nextDelayMs()
    log.error(
      { worker: post.number, how, reason: post.failure?.message, restart_ms: Math.round(delayMs) },
      'a worker has ended by itself and is replaced; the others serve on',
    )
    this.restartCount++
    clock.setTimer(delayMs, () => this.#fill(post))
    onChange()
  }

  async #askNumbers(post: Post): Promise<void> {
    const { line } = post
    if (line === null || !post.isServing) return
    const late = Promise.withResolvers<MetricsSnapshot>()
    const timer = this.#options.clock.setTimer(METRICS_MS, () => late.resolve(post.numbers))
    const numbers = await Promise.race([line.ask('metrics', null), late.promise]).catch(() => null)
    timer.cancel()
    // The worker may have gone, and another come, since it was asked.
    if (numbers !== null && post.line === line) post.numbers = numbers
  }

  /** What a worker had counted when it was last asked stays in the sums: a counter that falls looks like a restart. */
  #keepNumbers(post: Post): void {
    const counted = post.numbers.filter((metric) => Reflect.get(metric, 'type') !== 'gauge')
    if (counted.length > 0) this.#fallen.push(counted)
    post.numbers = []
  }
}

/**
 * Stands before Keycloak's token endpoint for one chain, and counts the requests, answered or not: Keycloak's own log knows only those
 * that reached it. While Keycloak is away, connections end without an answer.
 */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { takePort } from '../rig/ports.ts'

/** A counter that listens on loopback. */
export class TokenCounter {
  /** Where to ask for tokens, in place of Keycloak's own endpoint. */
  readonly url: string
  /** Requests so far. */
  count = 0
  readonly #server: Server
  readonly #target: URL

  private constructor(target: URL, port: number) {
    this.#target = target
    this.url = `http://localhost:${port}${target.pathname}`
    this.#server = createServer((asked, answer) => this.#pass(asked, answer))
  }

  /** @param tokenUrl Keycloak's token endpoint */
  static async listen(tokenUrl: string): Promise<TokenCounter> {
    const port = await takePort()
    const counter = new TokenCounter(new URL(tokenUrl), port)
    counter.#server.listen(port, 'localhost')
    await once(counter.#server, 'listening')
    return counter
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    this.count++
    // Keycloak names its issuer after the host it is asked by.
    const headers = { ...asked.headers, host: this.#target.host, connection: 'close' }
    const onward = request(this.#target, { method: asked.method ?? 'POST', headers, agent: false })
    onward.once('error', () => asked.socket.destroy())
    onward.once('response', (given) => {
      answer.writeHead(given.statusCode ?? 502, given.headers)
      given.pipe(answer)
    })
    asked.pipe(onward)
  }
}

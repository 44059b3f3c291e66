/** Proves with single calls that a proxy forwards, and that it refuses missing and forged tokens where it says that it does. */
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ground } from './ground.ts'
import { METHOD } from './ground.ts'

interface Answer {
  httpStatus: number
  /** From the head or the trailers, or null. */
  grpcStatus: string | null
  message: string | null
}

/** @throws Error that says which of the proofs failed. */
export async function probe(
  ground: Ground,
  port: number,
  isTls: boolean,
  checksToken: boolean,
): Promise<void> {
  const session = http2.connect(`${isTls ? 'https' : 'http'}://localhost:${port}`, {
    ...(isTls && {
      ca: readFileSync(ground.caFile),
      cert: readFileSync(ground.clientCertFile),
      key: readFileSync(ground.clientKeyFile),
    }),
    lookup: (_host, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
  })
  session.on('error', () => undefined)
  try {
    let answer = await call(session, ground.token)
    // A proxy may accept before it has keys or its server: it then says so and is asked again.
    for (let tries = 0; tries < 50 && answer.grpcStatus === '14'; tries++) {
      await sleep(100)
      answer = await call(session, ground.token)
    }
    if (!isOk(answer)) throw new Error(`a call with a valid token got ${JSON.stringify(answer)}`)
    if (!checksToken) return
    if (isOk(await call(session, null))) throw new Error('a call without a token was forwarded')
    if (isOk(await call(session, ground.forgedToken)))
      throw new Error('a call with a forged token was forwarded')
  } finally {
    session.destroy()
  }
}

const isOk = (answer: Answer): boolean => answer.httpStatus === 200 && answer.grpcStatus === '0'

async function call(session: http2.ClientHttp2Session, token: string | null): Promise<Answer> {
  const stream = session.request({
    ':method': 'POST',
    ':path': METHOD,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(token !== null && { authorization: `Bearer ${token}` }),
  })
  const answer: Answer = { httpStatus: 0, grpcStatus: null, message: null }
  const note = (fields: http2.IncomingHttpHeaders): void => {
    answer.httpStatus = fields[':status'] === undefined ? answer.httpStatus : Number(fields[':status'])
    answer.grpcStatus = (fields['grpc-status'] as string | undefined) ?? answer.grpcStatus
    answer.message = (fields['grpc-message'] as string | undefined) ?? answer.message
  }
  stream.on('response', note)
  stream.on('trailers', note)
  stream.resume()
  stream.end(Buffer.alloc(5))
  await new Promise<void>((resolve, reject) => {
    stream.once('close', () => resolve())
    stream.once('error', reject)
    stream.setTimeout(5_000, () => reject(new Error('no answer to a single call in 5 s')))
  })
  return answer
}

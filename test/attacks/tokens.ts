/** Attacks with tokens: floods of them, giants, and JSON that two parsers read differently. */
import { frame } from '../support/frame-factory.ts'
import { block, head } from './attack.ts'
import type { Attack, AttackGround } from './attack.ts'

const END = ['END_HEADERS', 'END_STREAM'] as const

/** Calls with tokens that `next` makes, `count` in all, on as many connections as it takes; how many those were. */
async function flood(
  ground: AttackGround,
  count: number,
  perBurst: number,
  next: () => string | Promise<string>,
): Promise<number> {
  let peer = await ground.open()
  let connections = 1
  for (let sent = 0; sent < count && !ground.isOver; sent += perBurst) {
    if (peer.isGone) {
      peer = await ground.open()
      connections++
    }
    const calls: Buffer[] = []
    for (let call = 0; call < perBurst; call++)
      calls.push(
        frame({
          type: 'HEADERS',
          stream: peer.nextStream(),
          flags: END,
          payload: block(head(await next())),
        }),
      )
    await peer.push(Buffer.concat(calls))
    await ground.pause(10)
  }
  return connections
}

/** Sends one call for each token: each must be refused, whatever it is. */
async function refuseAll(
  ground: AttackGround,
  tokens: readonly (readonly [string, string])[],
): Promise<void> {
  const peer = await ground.open()
  for (const [name, token] of tokens) {
    if (ground.isOver || peer.isGone) break
    const stream = peer.nextStream()
    peer.send({ type: 'HEADERS', stream, flags: END, payload: block(head(token)) })
    await peer.until(() => peer.ended.has(stream) || peer.resets.has(stream), 2_500)
    if ((peer.blocks.get(stream)?.length ?? 0) > 1) ground.fault(`${name}: the token was taken`)
    else if (!peer.ended.has(stream) && !peer.resets.has(stream) && !peer.isGone)
      ground.fault(`${name}: no answer`)
  }
}

const b64 = (text: string): string => Buffer.from(text).toString('base64url')

export const TOKENS: readonly Attack[] = [
  {
    name: 'unknown-kid-flood',
    title: 'tokens under key ids that nobody has: the provider is asked once in ten seconds',
    outcome: 'served',
    rounds: 1,
    stage: { hasProvider: true },
    async run(ground) {
      const before = ground.keyFetches()
      await flood(ground, 4_000, 20, () => ground.unknownKid())
      const fetches = ground.keyFetches() - before
      if (fetches > 1) ground.fault(`the provider was asked ${fetches} times`)
    },
  },
  {
    name: 'forged-signature-flood',
    title:
      'tokens under a known key id whose signatures are forged: few of each connection are checked, and it is cut after twenty',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const forged = await Promise.all(Array.from({ length: 400 }, () => ground.forge()))
      let at = 0
      const before = await ground.metric('authgw_signature_checks_total')
      const connections = await flood(ground, 400, 10, () => forged[at++ % forged.length]!)
      const checks = (await ground.metric('authgw_signature_checks_total')) - before
      if (checks > 60 * connections)
        ground.fault(`${checks} forgeries were checked on ${connections} connections`)
    },
  },
  {
    name: 'giant-tokens',
    title: 'tokens of 16 KiB to 60 KiB, headers of 2 KiB, encrypted ones',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      await refuseAll(ground, [
        ['16 KiB', `${b64('{"alg":"ES256"}')}.${'A'.repeat(16_000)}.${'B'.repeat(100)}`],
        ['17 KiB', `${b64('{"alg":"ES256"}')}.${'A'.repeat(17_000)}.${'B'.repeat(100)}`],
        ['a header of 2 KiB', `${b64(`{"alg":"ES256","x":"${'y'.repeat(2_000)}"}`)}.${b64('{}')}.AAAA`],
        ['a JWE', 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA'],
        ['a thousand points', '.'.repeat(1_000)],
        ['one point', 'a.b'],
      ])
    },
  },
  {
    name: 'deep-json',
    title:
      'claims nested a thousand deep, members twice, __proto__, numbers beyond all bounds; signed by a valid key',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const now = Math.floor(Date.now() / 1000)
      const claims = `"iss":"https://idp.example/realms/opentelemetry","aud":"control-plane","exp":${now + 300}`
      const header = '{"alg":"ES256","kid":"es256-1"}'
      const make = async (name: string, text: string, head = header): Promise<[string, string]> => [
        name,
        await ground.sign(head, text),
      ]
      await refuseAll(ground, [
        await make('nested arrays', `{${claims},"x":${'['.repeat(4_000)}${']'.repeat(4_000)}}`),
        await make('nested objects', `{${claims},"x":${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}}`),
        await make('aud twice', `{"aud":"other",${claims}}`),
        await make('aud twice, once escaped', `{"\\u0061ud":"other",${claims}}`),
        await make('exp in a string', `{${claims.replace(/"exp":(\d+)/, '"exp":"$1"')}}`),
        await make('exp beyond all bounds', `{${claims.replace(/"exp":\d+/, '"exp":1e999')}}`),
        await make('no exp', `{${claims.replace(/,"exp":\d+/, '')}}`),
        await make('everything in __proto__', `{"__proto__":{${claims}}}`),
        await make('an array', `[{${claims}}]`),
        await make('a byte order mark', `\ufeff{${claims}}`),
        await make('crit', `{${claims}}`, '{"alg":"ES256","kid":"es256-1","crit":["x"],"x":1}'),
        await make('alg none', `{${claims}}`, '{"alg":"none","kid":"es256-1"}'),
        await make('alg HS256', `{${claims}}`, '{"alg":"HS256","kid":"es256-1"}'),
        await make('alg of another key', `{${claims}}`, '{"alg":"RS256","kid":"es256-1"}'),
        await make('a key in the header', `{${claims}}`, '{"alg":"ES256","kid":"other","jwk":{"kty":"EC"}}'),
        await make('cnf.jkt', `{${claims},"cnf":{"jkt":"x"}}`),
        await make('cnf of a certificate', `{${claims},"cnf":{"x5t#S256":"x"}}`),
      ])
    },
  },
  {
    name: 'valid-token-many-paths',
    title: 'one valid token on ten thousand methods: verdicts must not pile up, nor log lines',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 100 && !ground.isOver && !peer.isGone; sent++) {
        const calls = Array.from({ length: 50 }, (_, place) =>
          frame({
            type: 'HEADERS',
            stream: peer.nextStream(),
            flags: END,
            payload: block(head(ground.token, [], `/s${sent}.Service${place}/M${'m'.repeat(150)}`)),
          }),
        )
        await peer.push(Buffer.concat(calls))
        await ground.pause(15)
      }
      if (peer.isGone) ground.fault(`a caller without rights was cut: ${peer.goawayText}`)
    },
  },
]

/**
 * Row 28 of the no-loss contract: a bug of authgw itself. It costs one call, which the exporter tries again, and nothing else.
 * Bugs are put into gateways of this process: a gate, a check or the relay throws for the one method that is marked.
 */
import { afterEach, expect, test, vi } from 'vitest'
import { BearerGate, CredentialGate } from '../../src/auth/index.ts'
import type { CallFacts, Verdict } from '../../src/auth/index.ts'
import { InvariantError } from '../../src/base/index.ts'
import { Call } from '../../src/relay/call.ts'
import { exportPath } from '../support/otlp-proto.ts'
import { openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

/** The method whose calls meet the bug; all others do not. */
const BROKEN = exportPath('logs')

afterEach(() => {
  vi.restoreAllMocks()
})

type Admits = { admit(call: CallFacts): Verdict | Promise<Verdict> }

/** Breaks a gate for one method. */
function breakGate(gate: Admits, broken: () => Promise<Verdict>): void {
  const admit = Object.getOwnPropertyDescriptor(gate, 'admit')!.value as Admits['admit']
  vi.spyOn(gate, 'admit').mockImplementation(function (this: Admits, call) {
    return call.path === BROKEN ? broken() : admit.call(this, call)
  })
}

const throws = (): never => {
  throw new InvariantError('what can never be has come to be')
}

/** Breaks what the relay does with a part of an answer, for the first call that gets there. */
function breakRelayOnce(event: 'onEgressResponse' | 'onEgressData' | 'onEgressTrailers'): void {
  vi.spyOn(Call.prototype, event).mockImplementationOnce(throws)
}

const BUGS: readonly (readonly [where: string, put: () => void])[] = [
  ['in the workload’s gate', () => breakGate(CredentialGate.prototype, throws)],
  ['in the control plane’s gate', () => breakGate(BearerGate.prototype, throws)],
  [
    'in the control plane’s gate, after a wait',
    () => breakGate(BearerGate.prototype, () => Promise.resolve().then(throws)),
  ],
  ['in the relay, at the head of an answer', () => breakRelayOnce('onEgressResponse')],
  ['in the relay, at a message of an answer', () => breakRelayOnce('onEgressData')],
  ['in the relay, at the trailers of an answer', () => breakRelayOnce('onEgressTrailers')],
]

async function expectOneCallLost(stage: Stage): Promise<void> {
  const refused = await stage.call({ path: BROKEN })
  expect(refused).toMatchObject({
    status: 'UNAVAILABLE',
    reason: 'bug',
    retrySeconds: 1,
    message: 'authgw: internal error',
  })
}

test.each(BUGS)('a bug %s costs one call, and no connection', async (_where, put) => {
  await using stage = await openStage({ shape: 'both' })
  // A stream that is open on the same connections all the while.
  const caller = stage.connect()
  const neighbour = caller.open({ path: exportPath('traces') })
  await neighbour.send(Buffer.from('before'))
  expect(String(await neighbour.next())).toBe('before')
  expect((await stage.call()).status).toBe('OK')
  const dials = await stage.metric('authgw_egress_dials_total')

  put()
  await expectOneCallLost(stage)
  vi.restoreAllMocks()

  await neighbour.send(Buffer.from('after'))
  neighbour.end()
  expect(String(await neighbour.next())).toBe('after')
  expect((await neighbour.outcome).status).toBe(0)
  expect((await stage.call({ path: BROKEN })).status).toBe('OK')
  expect(await stage.metric('authgw_egress_dials_total')).toBe(dials)
  expect(await stage.metric('authgw_bugs_total')).toBe(1)
  expect(await stage.readyStatus('workload')).toBe(200)
  expect(await stage.readyStatus('control_plane')).toBe(200)
  expect(await stage.logs()).toContain('"code":"invariant"')
})

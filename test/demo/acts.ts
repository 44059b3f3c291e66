/**
 * The acts of the demo: telemetry flows, callers are refused, the provider goes away and comes back, all is counted.
 */
import { status } from '@grpc/grpc-js'
import type { Findings } from './checks.ts'
import { CALLERS, isAsExpected } from '../support/refused-callers.ts'
import type { Caller, Outcome } from '../support/refused-callers.ts'
import { DemoFailure } from './stage.ts'
import type { Stage } from './stage.ts'

/** Items of each signal in a second. */
export const RATE = 20
/** Refreshes to be seen before the demo goes on. */
const REFRESHES = 2

/** Plays all acts. @throws DemoFailure when something does not come in time */
export async function play(stage: Stage, tokenLifeMs: number): Promise<Findings> {
  const refreshesInFlow = await flow(stage, tokenLifeMs)
  const calls = await refuse(stage)
  const outage = await endure(stage, tokenLifeMs)
  await finish(stage)
  return { refreshesInFlow, calls, ...outage }
}

async function flow(stage: Stage, tokenLifeMs: number): Promise<number> {
  stage.screen.title(
    'Telemetry flows, and the token is refreshed under it',
    `OpenTelemetry SDK → workload collector → authgw → mTLS → authgw → control-plane collector, ${RATE} items of each signal a second.`,
  )
  stage.telemetry.run(RATE)
  await stage.until(
    `${REFRESHES} refreshes of the token while telemetry arrives`,
    tokenLifeMs * 2 + 5_000,
    () => stage.refreshCount >= REFRESHES && stage.pattern.receiver.arrived.traces.distinct > 0,
  )
  return stage.refreshCount
}

async function refuse(stage: Stage): Promise<Findings['calls']> {
  const { screen, pattern } = stage
  screen.title(
    'Callers at the control plane, while telemetry flows',
    'A call is refused on its headers, before a byte of it is forwarded.',
  )
  const calls: { readonly caller: Caller; readonly outcome: Outcome }[] = []
  for (const caller of CALLERS) {
    const outcome = await caller.call(pattern)
    calls.push({ caller, outcome })
    const reason = outcome.reason === '' ? '' : `, authgw-reason ${outcome.reason}`
    const message = outcome.message === '' ? '' : `, "${outcome.message}"`
    screen.step(isAsExpected(caller, outcome), caller.name, `${status[outcome.code]}${reason}${message}`)
  }
  return calls
}

async function endure(
  stage: Stage,
  tokenLifeMs: number,
): Promise<Pick<Findings, 'outageMs' | 'putOffInOutage'>> {
  const { screen, pattern } = stage
  screen.title(
    'The provider goes away for longer than a token lives',
    'The gateway answers UNAVAILABLE with a delay to keep; the workload collector holds what it has and sends it again.',
  )
  const putOffBefore = stage.putOffCount
  const downSinceMs = performance.now()
  await pattern.provider.stop()
  stage.providerDownSinceMs = downSinceMs
  await stage.until('tries put off because there is no token', tokenLifeMs * 2, () => {
    const isLonger = performance.now() - downSinceMs > tokenLifeMs * 1.1
    return isLonger && stage.putOffCount > putOffBefore
  })
  const refreshesBefore = stage.refreshCount
  await pattern.provider.start()
  stage.providerDownSinceMs = null
  const outageMs = performance.now() - downSinceMs
  screen.title('The provider is back')
  await stage.until('a new token, and telemetry that arrives again', 30_000, () => {
    return stage.refreshCount > refreshesBefore && pattern.collector.waiting < 10
  })
  return { outageMs, putOffInOutage: stage.putOffCount - putOffBefore }
}

async function finish(stage: Stage): Promise<void> {
  stage.telemetry.pause()
  await stage.telemetry.flush()
  try {
    await stage.until('the last items', 15_000, () => stage.hasAllArrived)
  } catch (error) {
    // What is missing is counted, and told in the result.
    if (!(error instanceof DemoFailure)) throw error
  }
}

/**
 * The faults of the campaign: what is done to whom, for how long, and how soon calls must pass once it is over.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { KEYS_PATH, TOKEN_PATH, tokenAnswer, tooManyRequests } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import type { Bed } from './bed.ts'

/** What a fault may use beside the bed. */
export interface FaultTerms {
  /** Seconds in full, or shortened. */
  readonly lasting: (fullSeconds: number, shortSeconds: number) => Promise<void>
  /** A count in full, or shortened. */
  readonly times: (full: number, short: number) => number
}

/** One row of the campaign's table. */
export interface Fault {
  readonly name: string
  /** Seconds from its end to the first call that is forwarded; 0 where no call may fail at all. */
  readonly recoverySeconds: number
  /** Whether it is an outage of the provider, whose pace of token requests is judged. */
  readonly isOutage?: boolean
  /** Does it, and resolves when it is over. */
  run(bed: Bed, terms: FaultTerms): Promise<void>
}

const CUT = { kind: 'cut' } as const
/** No call may fail for longer than this when nothing but files or a connection changes. */
const OTHER_SECONDS = 2
const TOKEN_AND_KEY_SECONDS = 12

const heal = (bed: Bed): void => {
  for (const proxy of bed.proxies) proxy.heal()
}

async function killed(bed: Bed, side: 'workload' | 'control_plane', { times }: FaultTerms): Promise<void> {
  for (let count = times(5, 2); count > 0; count--) {
    await bed.killGateway(side)
    await sleep(1_000)
    await bed.startGateway(side)
    if (count > 1) await sleep(2_000)
  }
}

async function clockShifted(bed: Bed, side: 'workload' | 'control_plane', terms: FaultTerms): Promise<void> {
  await bed.killGateway(side)
  await bed.startGateway(side, 20_000)
  await terms.lasting(60, 15)
  await bed.killGateway(side)
  await bed.startGateway(side)
}

/** All faults, in the order in which they are run. */
export const FAULTS: readonly Fault[] = [
  { name: 'none', recoverySeconds: 0, run: (_bed, { lasting }) => lasting(30, 8) },
  {
    name: 'provider-down-at-start',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) proxy.misbehave('*', CUT)
      for (const side of ['workload', 'control_plane'] as const) {
        await bed.killGateway(side)
        await bed.startGateway(side)
      }
      await lasting(60, 20)
      heal(bed)
    },
  },
  {
    name: 'provider-down',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    isOutage: true,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) proxy.misbehave('*', CUT)
      await lasting(180, 30)
      heal(bed)
    },
  },
  {
    name: 'provider-refuses-connections',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) await proxy.stop()
      await lasting(60, 20)
      for (const proxy of bed.proxies) await proxy.start()
    },
  },
  {
    name: 'provider-slow',
    recoverySeconds: 0,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) proxy.misbehave('*', { kind: 'delay', ms: 1_500 })
      await lasting(60, 20)
      heal(bed)
    },
  },
  {
    name: 'provider-hangs',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) proxy.misbehave('*', { kind: 'hang' })
      await lasting(60, 20)
      heal(bed)
    },
  },
  {
    name: 'provider-429',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    isOutage: true,
    async run(bed, { lasting }) {
      for (const proxy of bed.proxies) proxy.misbehave('*', tooManyRequests(8))
      await lasting(60, 25)
      heal(bed)
    },
  },
  {
    name: 'keys-rotated-twice',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    async run(bed, { lasting }) {
      await bed.provider.rotateKeys()
      await lasting(30, 18)
      await bed.provider.rotateKeys({ forgetOld: true })
      // Until the workload carries a token under the new key.
      await sleep(5_000)
    },
  },
  {
    name: 'workload-clock-20s-ahead',
    recoverySeconds: OTHER_SECONDS,
    run: (bed, terms) => clockShifted(bed, 'workload', terms),
  },
  {
    name: 'control-plane-clock-20s-ahead',
    recoverySeconds: OTHER_SECONDS,
    run: (bed, terms) => clockShifted(bed, 'control_plane', terms),
  },
  {
    name: 'workload-killed',
    recoverySeconds: OTHER_SECONDS,
    run: (bed, terms) => killed(bed, 'workload', terms),
  },
  {
    name: 'control-plane-killed',
    recoverySeconds: OTHER_SECONDS,
    run: (bed, terms) => killed(bed, 'control_plane', terms),
  },
  {
    name: 'upstream-restarted-20-times',
    recoverySeconds: OTHER_SECONDS,
    async run({ receiver }, { times }) {
      for (let count = times(20, 6); count > 0; count--) {
        receiver.stop()
        await sleep(300)
        await receiver.start()
        if (count > 1) await sleep(1_500)
      }
    },
  },
  {
    name: 'certificates-replaced-20-times',
    recoverySeconds: 0,
    async run(bed, { times }) {
      for (let count = times(20, 6); count > 0; count--) await bed.replaceCertificates(700)
    },
  },
  {
    name: 'tokens-expire-unannounced',
    recoverySeconds: TOKEN_AND_KEY_SECONDS,
    async run(bed, { lasting }) {
      // The answer says 300 s; the token dies in 2 s, the 30 s of leeway counted.
      const isOver = { value: false }
      const renew = async (): Promise<void> => {
        const nowSeconds = Math.floor(Date.now() / 1_000)
        const token = await bed.provider.mintToken({ iat: nowSeconds - 60, exp: nowSeconds - 28 })
        if (!isOver.value) bed.workloadProxy.misbehave(TOKEN_PATH, tokenAnswer(token, 300))
      }
      await renew()
      const timer = setInterval(() => void renew(), 500)
      const seenBefore = bed.workloadProxy.attempts(TOKEN_PATH).length
      await waitFor(() => bed.workloadProxy.attempts(TOKEN_PATH).length > seenBefore, 15_000, 'such a token')
      await lasting(60, 20)
      clearInterval(timer)
      isOver.value = true
      heal(bed)
    },
  },
]

/** Paths whose requests are counted. */
export const COUNTED = { token: TOKEN_PATH, keys: KEYS_PATH }

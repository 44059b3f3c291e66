/**
 * A new configuration against the one that runs: what can be put in place, and what needs a restart.
 * Floor 7; changes nothing itself.
 */
import type { Clock, Log } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import type { Metrics } from '../telemetry/index.ts'

/** Whether the last reading of the configuration worked, for metrics. It worked at the start. */
export class ConfigReadings {
  readonly #clock: Clock
  #isLastOk = true
  #readAtMs: number

  constructor(clock: Clock, metrics: Metrics) {
    this.#clock = clock
    this.#readAtMs = clock.wallMs()
    const target = 'config'
    metrics.addGauge('authgw_last_reload_success', { target }, () => (this.#isLastOk ? 1 : 0))
    metrics.addGauge('authgw_last_reload_timestamp_seconds', { target }, () => this.#readAtMs / 1000)
  }

  /** Notes how another reading ended. */
  note(isOk: boolean): void {
    this.#isLastOk = isOk
    if (isOk) this.#readAtMs = this.#clock.wallMs()
  }
}

/** The configuration that runs, with what a reload may replace taken from `next`: the policy and the log level. */
export function reloadable(running: Config, next: Config): Config {
  const { encoding } = running.service.telemetry.logs
  const { level } = next.service.telemetry.logs
  const { controlPlane } = running
  return {
    ...running,
    ...(controlPlane !== undefined &&
      next.controlPlane !== undefined && {
        controlPlane: { ...controlPlane, policy: next.controlPlane.policy },
      }),
    service: { ...running.service, telemetry: { ...running.service.telemetry, logs: { level, encoding } } },
  }
}

/** Tells the operator what a reload has done, and what it could not do. */
export function logReload(log: Log, running: Config, next: Config): void {
  const keys = changedSections(running, next)
  if (keys.length > 0)
    log.warn({ keys }, 'reload: these keys have changed and need a restart; the rest is in use')
  log.info({}, 'reloaded: policy, log level and certificates')
}

/** Keys whose change needs a restart: everything but the policy and the log level. */
function changedSections(before: Config, after: Config): string[] {
  const flat = (config: Config): Map<string, string> => {
    const entries = Object.entries(config).flatMap(([section, value]) =>
      section === 'service'
        ? []
        : typeof value === 'object'
          ? Object.entries(value).map(([key, inner]) => [`${section}.${key}`, JSON.stringify(inner)] as const)
          : [[section, JSON.stringify(value)] as const],
    )
    return new Map(entries.filter(([key]) => key !== 'controlPlane.policy'))
  }
  const [old, fresh] = [flat(before), flat(after)]
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((key) => old.get(key) !== fresh.get(key))
}

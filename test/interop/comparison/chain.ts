/**
 * One chain under comparison: an SDK that numbers what it sends → workload collector → … → control-plane collector → a receiver
 * that tallies the numbers. Both collectors are stock ones; what stands between them is authgw, or their own extensions.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { takePort } from '../rig/ports.ts'
import { NumberedTelemetry } from '../../support/numbered-telemetry.ts'
import { startOtlpReceiver } from '../../support/otlp-receiver.ts'
import type { OtlpReceiver } from '../../support/otlp-receiver.ts'
import { SIGNALS } from '../../support/otlp-proto.ts'
import { bySignal, readCollector } from '../rig/counts.ts'
import type { CollectorCounts, Counts } from '../rig/counts.ts'
import type { RunFolder } from '../rig/folder.ts'
import type { Keycloak } from '../rig/keycloak.ts'
import { otelcol } from '../rig/parts.ts'
import type { Service } from '../rig/service.ts'
import { checkerYaml, plainYaml, senderYaml } from '../rig/stock.ts'
import type { Endurance, ExporterOptions } from '../rig/stock.ts'
import { addControlPlane, addWorkload } from './gateways.ts'
import { TokenCounter } from './token-counter.ts'

/** What stands between the two collectors. */
export type Middle = 'stock' | 'authgw' | 'stock, token from a file' | 'authgw, token from a file'

/** A chain to make. */
export interface ChainPlan {
  /** Also its client at Keycloak. */
  readonly name: string
  readonly middle: Middle
  readonly endurance: Endurance
}

/** The token file of the chains that read one. */
export const TOKEN_FILE = 'token'
/** As a supervisor would: a collector that ends is started again after this time. */
const RESTART_AFTER_MS = 5_000

/** A chain that was made; nothing of it runs before `start`. */
export class Chain {
  readonly plan: ChainPlan
  readonly receiver: OtlpReceiver
  readonly telemetry: NumberedTelemetry
  readonly sender: Service
  /** The control plane's stock collector. */
  readonly end: Service
  /** Gateways between, from the control plane's to the workload's. */
  readonly gateways: readonly Service[]
  /** Between it, or the script that writes its token file, and Keycloak's token endpoint. */
  readonly counter: TokenCounter
  readonly #senderMetrics: number

  private constructor(
    plan: ChainPlan,
    receiver: OtlpReceiver,
    counter: TokenCounter,
    parts: { sender: Service; senderPort: number; senderMetrics: number; end: Service; gateways: Service[] },
  ) {
    this.counter = counter
    this.plan = plan
    this.receiver = receiver
    this.sender = parts.sender
    this.end = parts.end
    this.gateways = parts.gateways
    this.#senderMetrics = parts.senderMetrics
    this.telemetry = new NumberedTelemetry({
      endpoint: `localhost:${parts.senderPort}`,
      serviceName: plan.name,
    })
  }

  /** Writes its files and starts its receiver. */
  static async make(
    folder: RunFolder,
    otelcolPath: string,
    keycloak: Keycloak,
    plan: ChainPlan,
  ): Promise<Chain> {
    const receiver = await startOtlpReceiver()
    const counter = await TokenCounter.listen(`${keycloak.issuer()}/protocol/openid-connect/token`)
    const { name, middle } = plan
    const isFile = middle.endsWith('file')
    const isStockEnd = middle.startsWith('stock')
    const [senderPort, senderMetrics, endPort, endMetrics] = [
      await takePort(),
      await takePort(),
      await takePort(),
      await takePort(),
    ]
    const write = (file: string, text: string): string => {
      writeFileSync(join(folder.path, file), text)
      return file
    }
    const endFile = write(
      `${name}-end.yaml`,
      isStockEnd
        ? checkerYaml(endPort, endMetrics, keycloak.issuer(), receiver.endpoint)
        : plainYaml(endPort, endMetrics, receiver.endpoint),
    )
    const restartAfterMs = RESTART_AFTER_MS
    const end = otelcol(folder, otelcolPath, {
      name: `${name}-end`,
      file: endFile,
      port: endPort,
      restartAfterMs,
    })
    const gateways: Service[] = []
    let entry = endPort
    if (!isStockEnd) {
      entry = await addControlPlane(folder, gateways, name, endPort)
      if (!isFile) entry = await addWorkload(folder, gateways, name, entry, counter.url)
    }
    const credentials: ExporterOptions['credentials'] = isFile
      ? { tokenFile: TOKEN_FILE }
      : isStockEnd
        ? { tokenUrl: counter.url, clientId: name }
        : 'none'
    const senderFile = write(
      `${name}-sender.yaml`,
      senderYaml(senderPort, senderMetrics, {
        endpoint: `localhost:${entry}`,
        endurance: plan.endurance,
        queue: `queue-${name}`,
        credentials,
      }),
    )
    const sender = otelcol(folder, otelcolPath, {
      name: `${name}-sender`,
      file: senderFile,
      port: senderPort,
    })
    return new Chain(plan, receiver, counter, { sender, senderPort, senderMetrics, end, gateways })
  }

  /** Starts it from its end; with `isEndAwaited` false a control-plane collector that cannot start yet is not waited for. */
  async start(isEndAwaited = true): Promise<void> {
    if (isEndAwaited) await this.end.start()
    else this.end.launch()
    for (const gateway of this.gateways) await gateway.start()
    await this.sender.start()
  }

  /** Ends its programs from the beginning of the flow. */
  async stop(): Promise<void> {
    await this.sender.stop()
    await Promise.all(this.gateways.map((gateway) => gateway.stop()))
    await this.end.stop()
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    await this.telemetry.close()
    await this.stop()
    this.counter.close()
    this.receiver.stop()
  }

  /** What its workload collector has counted since that was started. */
  counts(): Promise<CollectorCounts> {
    return readCollector(this.#senderMetrics)
  }

  /** Whether the workload collector has delivered or given up all that it took. */
  async isSettled(): Promise<boolean> {
    const { accepted, sent, failed } = await this.counts()
    return SIGNALS.every((signal) => accepted[signal] === sent[signal] + failed[signal])
  }

  /** How many of the numbers from `first` on, `count` of them, never came. */
  lost(first: number, count: number): Counts {
    return bySignal((signal) => this.receiver.arrived[signal].missing(count, first).length)
  }
}

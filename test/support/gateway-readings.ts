/**
 * What a gateway says of itself at a moment: its /metrics as numbers, its /readyz?verbose as text.
 */
import { parsePrometheusText } from './prometheus-text.ts'
import type { ParsedMetric } from './prometheus-text.ts'

/** One scrape. */
export class Readings {
  readonly #metrics: ReadonlyMap<string, ParsedMetric>
  readonly text: string
  constructor(text: string) {
    this.text = text
    this.#metrics = parsePrometheusText(text)
  }

  /** The values of a metric by one of its labels, summed over the others, for series that carry `labels`. */
  by(name: string, label: string, labels: Readonly<Record<string, string>> = {}): Map<string, number> {
    const values = new Set(
      (this.#metrics.get(name)?.samples ?? []).map((sample) => sample.labels[label] ?? ''),
    )
    return new Map([...values].map((value) => [value, this.sum(name, { ...labels, [label]: value })]))
  }

  /** The sum over all series that carry these labels; 0 when there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const samples = this.#metrics.get(name)?.samples ?? []
    return samples
      .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      .reduce((total, { value }) => total + value, 0)
  }
}

/** Scrapes the gateway with this admin port. Rejects when it does not answer within 2 s. */
export async function readMetrics(adminPort: number): Promise<Readings> {
  return new Readings(await ask(adminPort, '/metrics'))
}

/** Its conditions, line by line: `[+]` well, `[~]` degraded, `[-]` not ready. */
export async function readConditions(adminPort: number): Promise<string[]> {
  return (await ask(adminPort, '/readyz?verbose')).trim().split('\n')
}

/** Ten thousand handshakes on a busy machine keep a scrape waiting for seconds. */
const PATIENCE_MS = 10_000

async function ask(adminPort: number, path: string): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, { signal })
  return answer.text()
}

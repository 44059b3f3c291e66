/** One metric as the Prometheus text format tells it. */
export interface ParsedMetric {
  help: string
  type: string
  samples: { name: string; labels: Record<string, string>; value: number }[]
}

const NAME = String.raw`[a-zA-Z_:][a-zA-Z0-9_:]*`
const SAMPLE = new RegExp(String.raw`^(${NAME})(?:\{(.*)\})? (\S+)$`)
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y

/**
 * Reads the Prometheus text format 0.0.4, and throws where it is not: a sample without TYPE, a type twice,
 * a series twice, a broken label or value.
 */
export function parsePrometheusText(text: string): Map<string, ParsedMetric> {
  if (!text.endsWith('\n')) throw new Error('the text does not end with a line end')
  const metrics = new Map<string, ParsedMetric>()
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line)
    if (comment !== null) {
      const [, kind, name, rest] = comment
      const metric = metrics.get(name!) ?? { help: '', type: '', samples: [] }
      metrics.set(name!, metric)
      if (kind === 'HELP') metric.help = rest!
      else if (metric.type !== '') throw new Error(`TYPE of ${name} stands twice`)
      else metric.type = rest!
      continue
    }
    const sample = SAMPLE.exec(line)
    if (sample === null) throw new Error(`no sample: ${line}`)
    const [, name, labelText, valueText] = sample
    if (seen.has(`${name}{${labelText}}`)) throw new Error(`series stands twice: ${line}`)
    seen.add(`${name}{${labelText}}`)
    const metric = metrics.get(name!) ?? metrics.get(name!.replace(/_(?:bucket|sum|count)$/, ''))
    if (metric === undefined || metric.type === '') throw new Error(`no TYPE before: ${line}`)
    metric.samples.push({
      name: name!,
      labels: parseLabels(labelText ?? '', line),
      value: parseValue(valueText!),
    })
  }
  return metrics
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text)
    if (label === null) throw new Error(`broken label: ${line}`)
    labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char))
  }
  return labels
}

function parseValue(text: string): number {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  const value = Number(text)
  if (Number.isNaN(value) && !/^nan$/i.test(text)) throw new Error(`no number: ${text}`)
  return value
}

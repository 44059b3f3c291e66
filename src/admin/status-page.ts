/**
 * Turns readiness and sections of rows into a page that a person reads: HTML for a browser, text for curl.
 * Floor 6; knows no route. Every value is escaped and goes through the second net for secrets.
 */
import { redactText } from '../telemetry/index.ts'
import type { Condition, Readiness } from './readiness.ts'

/** One part of the status page. */
export interface StatusSection {
  readonly title: string
  /** Label and value of each line. No secrets. */
  readonly rows: readonly (readonly [label: string, value: string])[]
}

/** Gives the conditions line by line, `[+]` well, `[~]` degraded, `[-]` not ready. */
export function renderConditions(readiness: Readiness): string {
  const state = `[${readiness.state === 'ready' ? '+' : '-'}] ${stateText(readiness)}`
  const lines = readiness.conditions.map(
    (one) => `${markOf(one)} ${one.name}: ${conditionText(readiness, one)}`,
  )
  return redactText([state, ...lines].join('\n'))
}

const stateText = (readiness: Readiness): string =>
  `life cycle: ${readiness.state} for ${formatAge(readiness.stateAgeMs)}`

function markOf(condition: Condition): string {
  if (!condition.isReady) return '[-]'
  return condition.isDegraded ? '[~]' : '[+]'
}

function conditionText(readiness: Readiness, condition: Condition): string {
  const age = formatAge(readiness.ageMs(condition))
  if (!condition.isDegraded) return `ok for ${age}`
  const verdict = condition.isReady ? 'degraded' : 'not ready'
  return `${verdict}: ${condition.reason} for ${age}${condition.detail === '' ? '' : `: ${condition.detail}`}`
}

/** `12 s`, `3 min`, `5 h`, `9 d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`
}

/** The pages that the status page leads to. */
const LINKS = ['/metrics', '/livez', '/startupz', '/readyz?verbose', '/config'] as const

function verdictOf(readiness: Readiness): string {
  if (!readiness.isReady) return `not ready (${readiness.state})`
  return readiness.isDegraded ? 'ready, degraded' : 'ready'
}

/** Gives the status page as plain text. */
export function renderStatusText(readiness: Readiness, sections: readonly StatusSection[]): string {
  const parts = sections.map(({ title, rows }) => {
    const width = Math.max(0, ...rows.map(([label]) => label.length))
    return [title, ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n')
  })
  return `${redactText([`authgw: ${verdictOf(readiness)}`, renderConditions(readiness), ...parts].join('\n\n'))}\n\n${LINKS.join('  ')}\n`
}

/** Gives the status page as HTML without scripts or anything to load. */
export function renderStatusHtml(readiness: Readiness, sections: readonly StatusSection[]): string {
  const verdict = verdictOf(readiness)
  const parts = sections.map(({ title, rows }) => {
    const lines = rows.map(([label, value]) => `<tr><th>${escapeHtml(label)}<td>${escapeHtml(value)}`)
    return `<h2>${escapeHtml(title)}</h2>\n<table>\n${lines.join('\n')}\n</table>`
  })
  const links = LINKS.map((link) => `<a href="${link}">${link}</a>`)
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>authgw: ${verdict}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
th { text-align: left; font-weight: normal; padding-right: 2rem; opacity: .7; vertical-align: top }
td { overflow-wrap: anywhere }
</style>
<h1>authgw: ${verdict}</h1>
<pre>${escapeHtml(renderConditions(readiness))}</pre>
${parts.join('\n')}
<p>${links.join(' · ')}</p>
</html>
`
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escapeHtml(text: string): string {
  return redactText(text).replace(/[&<>"]/g, (char) => ENTITIES[char]!)
}

/** Turns the figures of one run into an SVG plot: CPU a call, a panel for each setting, a bar for each proxy. */
import { cpuOf } from './goals.ts'
import { titleOf } from './report.ts'
import type { Results } from './results.ts'

const WIDTH = 860
const LABEL_WIDTH = 190
const FIGURE_WIDTH = 90
const BAR_HEIGHT = 18
const BAR_GAP = 5
const PANEL_HEAD = 34
const MARGIN = 16
const OWN_COLOUR = '#2f6f4e'
const OTHER_COLOUR = '#9aa5b1'

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** One SVG document. */
export function plot(results: Results): string {
  const parts: string[] = []
  let y = MARGIN
  for (const setting of results.settings) {
    const bars = setting.contenders.filter(({ turns }) => turns.length > 0)
    const most = Math.max(...bars.map((bar) => cpuOf(bar)))
    parts.push(`<text x="${MARGIN}" y="${y + 16}" font-weight="600">${escaped(titleOf(setting))}</text>`)
    y += PANEL_HEAD
    for (const bar of bars) {
      const micros = cpuOf(bar)
      const width = (micros / most) * (WIDTH - LABEL_WIDTH - FIGURE_WIDTH - 2 * MARGIN)
      const left = MARGIN + LABEL_WIDTH
      const middle = y + BAR_HEIGHT - 5
      const colour = bar.name.startsWith('authgw') ? OWN_COLOUR : OTHER_COLOUR
      const token = bar.checksToken ? ', token checked' : ''
      parts.push(
        `<text x="${left - 8}" y="${middle}" text-anchor="end">${escaped(bar.name + token)}</text>`,
        `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" fill="${colour}"/>`,
        `<text x="${(left + width + 6).toFixed(1)}" y="${middle}">${micros.toFixed(1)} µs</text>`,
      )
      y += BAR_HEIGHT + BAR_GAP
    }
    y += MARGIN
  }
  const title = `CPU of the proxy per call, microseconds; src/ ${results.sourceTree.slice(0, 12)}, ${results.date} UTC`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + MARGIN}" font-family="system-ui, sans-serif" font-size="12">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
<text x="${MARGIN}" y="${y + 4}" fill="#52606d">${escaped(title)}</text>
</svg>
`
}

/**
 * `node test/interop/tools/install.ts [names…]`: makes sure that the named components (default: all) are there, one after
 * the other, and ends with a table of what is used and what is absent, and why. Exit code 0 also when some are absent:
 * what cannot be had here is reported by the suite that wanted it.
 */
import type { Standing } from './cache.ts'
import { CACHE, ensure } from './cache.ts'
import { CATALOG } from './catalog.ts'
import { isOnPath } from './run.ts'
import { table } from './table.ts'

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !CATALOG.some((component) => component.name === name))
if (unknown.length > 0) {
  console.error(
    `No such component: ${unknown.join(', ')}. There are: ${CATALOG.map((c) => c.name).join(', ')}.`,
  )
  process.exit(2)
}

const standings: Standing[] = []
for (const component of CATALOG) {
  if (wanted.length > 0 && !wanted.includes(component.name)) continue
  process.stdout.write(`${component.name} ${component.version} (${component.purpose}) … `)
  const standing = await ensure(component, isOnPath)
  console.log(`${standing.state}: ${standing.remark}`)
  standings.push(standing)
}
console.log(`\nCache: ${CACHE}\n`)
console.log(
  table(
    ['component', 'version', '', 'remark'],
    standings.map(({ name, version, state, remark }) => [name, version, state, remark]),
  ),
)

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { describedMetrics } from '../docs/metrics.ts'

const textOf = (file: string): string => readFileSync(`${import.meta.dirname}/${file}`, 'utf8')
const rules = textOf('rules.yml')
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name)

test('rules ask for metrics that there are', () => {
  const known = describedMetrics().flatMap(({ metrics }) =>
    metrics.flatMap(({ name, type }) => (type === 'histogram' ? [`${name}_bucket`, name] : [name])),
  )
  const asked = [...rules.matchAll(/\bshadow_\w+/g)].map(([name]) => name)
  expect(asked.filter(name => !known.includes(name))).toEqual([])
  expect(asked.length).toBeGreaterThan(alerts.length - 2)
})

test('every rule has a test in which it fires, and one in which it does not', () => {
  const tested = [...textOf('rules.test.yml').matchAll(/- name: (.+)/g)].map(([, name]) => name)
  expect(tested).toEqual(alerts.flatMap(name => [`${name} fires`, `${name} is quiet`]))
})

test.skipIf(!hasPromtool())(
  'promtool accepts the rules, their tests and the example of a configuration',
  { timeout: 60_000 },
  () => {
    const promtool = (...words: string[]): string =>
      execFileSync('promtool', words, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' })
    expect(promtool('check', 'rules', 'rules.yml')).toContain(`${alerts.length} rules found`)
    expect(promtool('test', 'rules', 'rules.test.yml')).toContain('SUCCESS')
    expect(promtool('check', 'config', 'prometheus.yml')).toContain('SUCCESS')
  },
)

function hasPromtool(): boolean {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false // Debian's prometheus has it: contrib/dev/setup --servers
  }
}

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const UNITS = join(import.meta.dirname, '../../contrib/systemd')

/** The highest exposure allowed for each unit, in tenths on systemd's scale: 0 is not exposed, 100 is fully exposed. */
const MOST = { 'shadow-master': 20, 'shadow-proxy': 20, 'shadow-nodeproxy': 60, shadow: 60 }

for (const [unit, most] of Object.entries(MOST)) {
  test(`${unit}.service is sandboxed`, () => {
    const check = ['security', '--offline=true', '--no-pager', `--threshold=${most}`, `${UNITS}/${unit}.service`]
    const told = execFileSync('/usr/bin/systemd-analyze', check, { encoding: 'utf8' })
    expect(told).toContain('Overall exposure level')
  })
}

for (const unit of ['shadow-nodeproxy', 'shadow'])
  test(`${unit}.service has no mounts of its own, or Docker would not see those of volumes`, () => {
    const text = readFileSync(`${UNITS}/${unit}.service`, 'utf8')
    expect(text).not.toMatch(/^(Protect(System|Home|Proc|Kernel\w+|ControlGroups|Clock)|Private\w+|ReadWritePaths)=/m)
  })

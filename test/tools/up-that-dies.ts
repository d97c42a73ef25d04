import { startUp } from '../../src/cli/up.ts'
import { readUpConfig } from '../../src/cli/up-config.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openLog } from '../../src/lib/log.ts'
import type { Input } from './node-that-dies.ts'

const { settings, dies }: Input = JSON.parse(process.argv[2] ?? '{}')
const { data = '', ...env } = settings

const up = await startUp(readUpConfig(env, { data, listen: '127.0.0.1:0' }), {
  clock: systemClock,
  log: openLog({ name: 'shadow', level: 'error' }),
  onStep: (app, step, when) => {
    if (app === dies?.app && `${when} ${step}` === dies.at) process.kill(process.pid, 'SIGKILL')
  },
})
process.stdout.write(`${JSON.stringify({ front: up.frontUrl, master: up.masterUrl, token: up.adminToken })}\n`)
process.once('SIGTERM', () => void up.stop({ sleep: false }))

import { openLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import { nodeproxySettings } from '../../src/nodeproxy/config.ts'
import { startNodeproxy } from '../../src/nodeproxy/main.ts'

/** The program's one argument, as JSON. `dies`: the step at which it dies (`before mount`, `after stop`, …) and the app. */
export type Input = {
  readonly settings: Readonly<Record<string, string>>
  readonly dies?: { readonly app: string; readonly at: string }
}

const { settings, dies }: Input = JSON.parse(process.argv[2] ?? '{}')

const node = await startNodeproxy(readSettings(nodeproxySettings, {}, settings), {
  log: openLog({ name: 'node', level: 'error' }),
  onStep: (app, step, when) => {
    if (app === dies?.app && `${when} ${step}` === dies.at) process.kill(process.pid, 'SIGKILL')
  },
})
process.stdout.write(`${JSON.stringify({ address: node.address, keys: node.keys })}\n`)
process.once('SIGTERM', () => void node.stop({ sleep: false }))

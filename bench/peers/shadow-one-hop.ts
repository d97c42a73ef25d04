// Front → container in one process, as in `shadow up`, with a back end of the bench in place of the container.
import { readFileSync } from 'node:fs'
import { runDaemon } from '../../src/cli/daemon.ts'
import { systemTerminal } from '../../src/cli/terminal.ts'
import { startUp } from '../../src/cli/up.ts'
import { tellHeapIn } from '../lib/heap.ts'
import { benchDrivers, configOf } from './composed.ts'
import type { Setup } from './setup.ts'

const setup: Setup = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
tellHeapIn(setup.folder)
await runDaemon({ name: 'shadow', level: 'warn', terminal: systemTerminal() }, given =>
  startUp(configOf(setup), { ...given, drivers: benchDrivers() }),
)

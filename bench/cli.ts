import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type InputOptions, type OutputOptions, rolldown } from 'rolldown'
import config from '../rolldown.config.ts'
import { benchFlags, type Case, interleave, machine, pinTo, print, ratioAim, rowOf } from './lib/bench.ts'

const { json, rounds } = benchFlags({ rounds: 25 })
const root = join(import.meta.dirname, '..')

// The smallest possible CLI: `shadow --version` is compared with it.
const EMPTY_CLI = `import { Command } from 'commander'
await new Command('empty').version('0.0.0').parseAsync()
`

await bundle(config)
// Beside the checkout's node_modules, so that it finds the same commander.
const folder = await mkdtemp(join(root, 'dist/bench-'))
try {
  const peer = join(folder, 'peer.js')
  const source = join(folder, 'peer.ts')
  await writeFile(source, EMPTY_CLI)
  await bundle({
    ...config,
    input: { peer: source },
    output: { ...config.output, dir: folder, cleanDir: false },
  })
  pinTo(0)
  const start = (name: string, file: string, ...args: string[]): Case => ({
    name,
    unit: 'ms',
    measure: () => timed(file, args),
  })
  const cases = [
    start('shadow --version', join(root, 'bin/shadow'), '--version'),
    start('shadow --version, without the launcher', process.execPath, join(root, 'dist/shadow.js'), '--version'),
    start('shadow help ps', join(root, 'bin/shadow'), 'help', 'ps'),
    start('floor: empty commander script, bundled', process.execPath, peer, '--version'),
    start('floor: node --version', process.execPath, '--version'),
  ]
  const samples = await interleave(cases, { rounds, times: 2 })
  print(
    {
      bench: 'cli',
      machine: machine(),
      rounds,
      rows: cases.map(one => rowOf(one, samples)),
      aims: [ratioAim('cli/node', 1.3, samples, 'shadow --version', 'floor: empty commander script, bundled')],
      notes: [
        'ours: bin/shadow as a person calls it (sh, then the same node on the built CLI); the peer: node on a commander program',
        'with a name and a version and nothing else, bundled and minified by the same settings; no compile cache for either',
      ],
    },
    json,
  )
} finally {
  await rm(folder, { recursive: true })
}

async function bundle({
  output,
  ...input
}: InputOptions & { output?: OutputOptions | OutputOptions[] }): Promise<void> {
  await using build = await rolldown(input)
  await build.write(Array.isArray(output) ? output[0] : output)
}

function timed(file: string, args: readonly string[]): number {
  const before = process.hrtime.bigint()
  const { status } = spawnSync(file, args, { stdio: 'ignore' })
  const ms = Number(process.hrtime.bigint() - before) / 1e6
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${status}`)
  return ms
}

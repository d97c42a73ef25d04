import { backedUpVolume, CHANGED, DATA, MIB, VOLUME } from './lib/backed-up-volume.ts'
import { benchFlags, type Case, countAim, machine, print, quantile, rowOf, type Samples } from './lib/bench.ts'

const PIECES = [
  ['1 % changed, in regions of 5 MiB', 5 * MIB],
  ['1 % changed, in regions of 1 MiB', MIB],
  ['1 % changed, in pieces of 64 KiB', 64 * 1024],
] as const
const never = new AbortController().signal

const { json, rounds } = benchFlags({ rounds: 3 })
await using volume = await backedUpVolume()
const { world, app } = volume

const samples = new Map<string, number[][]>()
const keep = (name: string, figure: number): void => void samples.set(name, [...(samples.get(name) ?? []), [figure]])
const case_ = (name: string, unit: string): Omit<Case, 'measure'> => ({ name, unit })

const first = await volume.backUp()
keep('first backup', first.ms)
keep('first backup: stored', first.addedBytes / MIB)
for (let round = 0; round < rounds; round++) {
  keep('nothing changed', (await volume.backUp()).ms)
  for (const [name, piece] of PIECES) {
    await volume.change(piece)
    const { ms, addedBytes } = await volume.backUp()
    keep(name, ms)
    keep(`${name}: stored/changed`, addedBytes / CHANGED)
  }
  const began = performance.now()
  await world.backups.restore(app, { undo: false, dryRun: false, by: 'bench' }, never)
  keep('restore, with the check and the comparison', performance.now() - began)
}

const aimed = samples.get('1 % changed, in regions of 5 MiB: stored/changed') ?? []
print(
  {
    bench: 'backup',
    machine: machine(),
    rounds,
    rows: [...samples.keys()].map(name =>
      rowOf(
        case_(name, name.endsWith('stored/changed') ? 'x' : name.endsWith('stored') ? 'MiB' : 'ms'),
        samples as Samples,
      ),
    ),
    aims: [countAim('second/changed bytes', 1.5, quantile(aimed.flat(), 0.5))],
    notes: [
      `a volume of ${VOLUME / MIB} MiB with ${DATA / MIB} MiB of random data, asleep, copied by cp before each backup; restic, a node, a master over HTTP and a store in a directory, on this machine`,
      'changed: 10 MiB of the data overwritten with other random data, in regions at places that look random; stored: what restic says that its repository has grown by',
      'the aim is of the regions of 5 MiB: at both ends of each region restic stores the rest of a piece of about 1 MiB again',
    ],
  },
  json,
)

/**
 * A cluster on made-up machines (test/tools/fleet) under load, while nodes, fronts, masters, containers, Docker and the store are killed,
 * paused, cut off and restarted, and clocks are stepped, at random.
 *
 * lost: requests that got neither an answer nor an error of Shadow within 60 s, or whose connection was cut, while the front that they
 *   were sent to was neither ended, paused nor cut off.
 * lost-appends: appends that were answered with 200, and are not in the journal on the volume at the end.
 * repeated: requests that are in a journal more than once.
 * overlapping-writers: runs of an app whose lines in its journal are not in one piece, or that wrote before the last line of the run above.
 * wrong-app: answers of another app than the one that was asked.
 */
import { parseArgs } from 'node:util'
import { installed } from '../test/tools/installed.ts'
import { runChaos } from './chaos/run.ts'
import { countAim, machine, print, quantile, rowOfOne } from './lib/bench.ts'

const HELP = `usage: npm run chaos -- [--minutes N] [--seed S] [--json] [--only PATTERN] [--keep FOLDER]

  --minutes N    how long faults are made; default 3
  --seed S       which faults, when, and which requests; default 1. Times differ from run to run all the same
  --only PATTERN make the faults only whose name matches, such as 'node frozen|container'
  --keep FOLDER  keep the logs of all daemons, the journals and the requests there
  --json         print one object

Five aims, all of them 0:
  lost                 requests that got neither an answer nor an error of Shadow within 60 s, or whose connection was cut,
                       while the front that they were sent to was neither ended, paused nor cut off
  lost-appends         appends that were answered with 200, and are not in the journal on the volume at the end
  repeated             requests that were sent once, and are in a journal more than once
  overlapping-writers  runs of an app whose lines in its journal are not in one piece, or that wrote before the last line
                       of the run above
  wrong-app            answers of another app than the one that was asked
Clocks of nodes and fronts are set off by up to two hours, those of masters by as much as the lease allows for.
It needs root, Docker, MinIO (contrib/dev/setup --s3), and Debian's package faketime for the clocks.
`

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    keep: { type: 'string' },
  },
})
if (flags.help) {
  process.stdout.write(HELP)
  process.exit()
}

await using built = await installed()
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const seed = Number(flags.seed)
const lastsMs = Number(flags.minutes) * 60_000
const { requests, verdicts, faults, ended } = await runChaos({
  shadow: built.shadow,
  lastsMs,
  seed,
  say,
  only: flags.only === undefined ? undefined : new RegExp(flags.only),
  keep: flags.keep,
})

const outcomes = Map.groupBy(requests, ({ outcome }) => outcome)
const count = (outcome: string): number => outcomes.get(outcome)?.length ?? 0
for (const request of requests) if (['lost', 'wrong-app'].includes(request.outcome)) say(JSON.stringify(request))
for (const { app, lostAppends, repeated, overlaps } of verdicts)
  for (const problem of [...lostAppends.map(id => `lost ${id}`), ...repeated.map(id => `${id} twice`), ...overlaps])
    say(`${app}: ${problem}`)
const times = (outcomes.get('answered') ?? []).map(({ ms }) => ms)

print(
  {
    bench: 'chaos',
    machine: machine(),
    rounds: 1,
    rows: [
      rowOfOne('requests sent', 'requests', requests.length),
      ...[...outcomes].map(([outcome, { length }]) => rowOfOne(outcome, 'requests', length)),
      rowOfOne('answered: median', 'ms', quantile(times, 0.5)),
      rowOfOne('answered: 99 of 100 within', 'ms', quantile(times, 0.99)),
      ...verdicts.flatMap(({ app, runs, lines, torn }) => [
        rowOfOne(`${app}: runs`, 'runs', runs),
        rowOfOne(`${app}: lines, of which torn: ${torn}`, 'lines', lines),
      ]),
      ...[...faults].sort().map(([fault, times]) => rowOfOne(fault, 'times', times)),
      rowOfOne('daemons that ended by themselves', 'times', ended.length),
    ],
    aims: [
      countAim('lost', 0, count('lost')),
      countAim(
        'lost-appends',
        0,
        verdicts.reduce((sum, { lostAppends }) => sum + lostAppends.length, 0),
      ),
      countAim(
        'repeated',
        0,
        verdicts.reduce((sum, { repeated }) => sum + repeated.length, 0),
      ),
      countAim(
        'overlapping-writers',
        0,
        verdicts.reduce((sum, { overlaps }) => sum + overlaps.length, 0),
      ),
      countAim('wrong-app', 0, count('wrong-app')),
    ],
    notes: [`seed ${seed}, ${flags.minutes} minutes; what the aims count: npm run chaos -- --help`, ...ended],
  },
  flags.json,
)

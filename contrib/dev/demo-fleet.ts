// Shows a cluster of made-up machines and checks each step: an app moves with its volume when its machine loses its power, a node is drained,
// and an app without a volume grows to four instances under load and back to none. Exits 0 only if every step was as expected.
// Run it by `make demo-fleet`.
import { writeFile } from 'node:fs/promises'
import { Fleet } from '../../test/tools/fleet/fleet.ts'
import { nodeImage } from '../../test/tools/images.ts'
import { installed } from '../../test/tools/installed.ts'
import { until } from '../../test/tools/shadow.ts'
import { Crowd } from './fleet/crowd.ts'
import { Look } from './fleet/look.ts'
import { must, Narrator } from './fleet/narrator.ts'

const NODES = ['a', 'b']
const NOTE = 'remember the milk'

const narrator = new Narrator()
const stack = new AsyncDisposableStack()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stack.disposeAsync().finally(() => process.exit(130)))

try {
  await show(await started())
  narrator.title('End all machines')
  await stack.disposeAsync()
  narrator.say(`nothing of them is left; all of it was so, in ${narrator.seconds} s`)
} catch (error) {
  process.stderr.write(`\ndemo-fleet: ${error instanceof Error ? error.message : error}\n`)
  await stack.disposeAsync()
  process.exitCode = 1
}

/** Starts the machines, and lets the CLI find them. */
async function started(): Promise<Fleet> {
  narrator.title('Two nodes with a Docker each, a front, a master and MinIO: made-up machines, joined by mutual TLS')
  const { shadow } = stack.use(await installed())
  const fleet = stack.use(
    await Fleet.start({
      ...{ shadow, nodes: NODES, fronts: ['x'], masters: ['m'] },
      nodeSettings: { SHADOW_POOL_LEASE: '12s' },
    }),
  )
  const master = fleet.machine('m')
  const ca = `${fleet.folder}/ca.pem`
  await writeFile(ca, `${await master.run([shadow, 'cluster', 'ca'], { SHADOW_DATA: fleet.data('m') })}\n`)
  const token = await master.run(['cat', `${fleet.data('m')}/tokens/admin`])
  narrator.cli = {
    shadow,
    env: { SHADOW_URL: `https://${master.address}:8080`, SHADOW_TOKEN: token, SHADOW_CA: ca },
  }
  await narrator.shadow('node ls')
  return fleet
}

async function show(fleet: Fleet): Promise<void> {
  const look = new Look(fleet)
  const image = await nodeImage()
  const home = await losesItsPower(fleet, look, image)
  await growsAndIsDrained(fleet, look, image, home)
}

async function losesItsPower(fleet: Fleet, look: Look, image: string): Promise<{ from: string; to: string }> {
  narrator.title('An app whose volume is in a pool: storage that all nodes see')
  await narrator.shadow(`register notes --image ${image} --volume 64MiB --volume-driver pool --idle-after 10m`)
  const url = look.url('notes', '/files/note')
  await narrator.curl(url, look.front, '-X', 'PUT', '-d', NOTE)
  const from = await look.homeOf('notes')
  await narrator.shadow('status notes')

  narrator.title(`Its node, ${fleet.nameOf(from)}, loses its power`)
  await fleet.powerOff(from)
  narrator.say('requests fail until the lease of the volume has ended, 12 s at most: nobody else may write before that')
  await until(async () => (await fleet.at('x').ask('notes', '/files/note')).status === 200 || undefined)
  must((await narrator.curl(url, look.front)).includes(NOTE), 'the note is gone')
  const to = await look.homeOf('notes')
  must(to !== from, 'the app is where it was')
  narrator.say(`it runs on ${fleet.nameOf(to)} now, and the note is there`)
  await fleet.powerOn(from)
  await look.untilServes(from)
  narrator.say(`${fleet.nameOf(from)} is back`)
  return { from, to }
}

async function growsAndIsDrained(
  fleet: Fleet,
  look: Look,
  image: string,
  { from, to }: { from: string; to: string },
): Promise<void> {
  narrator.title('An app without a volume: above 2 requests in flight another instance is made ready, up to four')
  await narrator.shadow(`register web --image ${image} --max 4 --concurrency 2:4 --idle-after 3s --grace 1s`)
  const crowd = new Crowd(fleet.at('x'), 'web')
  narrator.say('16 clients come')
  crowd.come(16)
  await look.told('web', instances => instances.length === 4)
  const nodes = new Set((await look.awake('web')).map(({ node }) => node))
  must(nodes.size === NODES.length, 'all instances are on one node')
  await narrator.shadow('why web')

  narrator.title(`Drain ${fleet.nameOf(to)} meanwhile: all apps leave it, the one with the volume too`)
  await narrator.shadow(`node drain ${fleet.nameOf(to)} --deadline 20s`)
  must((await narrator.curl(look.url('notes', '/files/note'), look.front)).includes(NOTE), 'the note is gone')
  must((await look.homeOf('notes')) === from, 'the app is still on the drained node')
  await look.told('web', all => all.length === 4 && all.every(({ node }) => node === fleet.nameOf(from)))
  await narrator.shadow('ps')
  await narrator.shadow(`node uncordon ${fleet.nameOf(to)}`)

  narrator.title('The clients leave, and all instances fall asleep')
  await crowd.leave()
  narrator.say(`${crowd.answered} requests were answered, ${crowd.failures.length} were not`)
  must(crowd.failures.length === 0, `a request failed: ${crowd.failures[0]}`)
  await look.told('web', instances => instances.length === 0)
  for (const node of NODES) await until(async () => (await fleet.running(node, 'web')).length === 0 || undefined)
  await narrator.shadow('ps')
}

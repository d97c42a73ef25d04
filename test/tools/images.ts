import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const APPS = join(import.meta.dirname, 'apps')
// The Node that this project pins, and not that of whoever runs the tests.
const NODE = join(import.meta.dirname, '../../node_modules/node/bin/node')

let busybox: Promise<string> | undefined
let node: Promise<string> | undefined

/** An image of busybox alone, every applet in its PATH; made from this machine's own where it is not there. */
export function busyboxImage(): Promise<string> {
  busybox ??= imageOf('busybox', [onPath('busybox')], async root => {
    await mkdir(join(root, 'bin'))
    await copyFile(onPath('busybox'), join(root, 'bin/busybox'))
    const { stdout } = await run(onPath('busybox'), ['--list'])
    for (const applet of stdout.split('\n').filter(name => name !== '' && name !== 'busybox'))
      await symlink('busybox', join(root, 'bin', applet))
  })
  return busybox
}

/** An image of the project's Node with the apps of `test/tools/apps` in /srv; it runs /srv/app.mjs unless told otherwise. */
export function nodeImage(): Promise<string> {
  node ??= imageOf(
    'node',
    [NODE, join(APPS, 'app.mjs')],
    async root => {
      await mkdir(join(root, 'bin'))
      await copyFile(NODE, join(root, 'bin/node'))
      for (const library of await librariesOf(NODE)) {
        await mkdir(join(root, dirname(library)), { recursive: true })
        await copyFile(library, join(root, library))
      }
      await cp(APPS, join(root, 'srv'), { recursive: true })
    },
    ['CMD ["node", "/srv/app.mjs"]', 'WORKDIR /srv'],
  )
  return node
}

/** Finds `shadow-test/<name>:<hash of what goes into it>`, or imports it from what `fill` puts into a folder. */
async function imageOf(
  name: string,
  sources: string[],
  fill: (root: string) => Promise<void>,
  changes: string[] = [],
): Promise<string> {
  const hash = createHash('sha256').update(fill.toString()).update(changes.join())
  for (const source of sources) hash.update(await readFile(source))
  const image = `shadow-test/${name}:${hash.digest('hex').slice(0, 16)}`
  const { stdout } = await run('docker', ['images', '--quiet', image])
  if (stdout !== '') return image
  const root = await mkdtemp(join(tmpdir(), `shadow-image-${name}-`))
  try {
    for (const folder of ['tmp', 'etc', 'data']) await mkdir(join(root, folder))
    await fill(root)
    await run('tar', ['--owner=0', '--group=0', '-cf', `${root}.tar`, '-C', root, '.'])
    const instructions = ['ENV PATH=/bin', ...changes].flatMap(change => ['--change', change])
    await run('docker', ['import', ...instructions, `${root}.tar`, image])
  } finally {
    await rm(root, { recursive: true, force: true })
    await rm(`${root}.tar`, { force: true })
  }
  return image
}

async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await run('ldd', [program])
  return stdout.split('\n').flatMap(line => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

function onPath(program: string): string {
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/bin', '/usr/bin', '/sbin']) {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return join(folder, program)
    } catch {
      // not in this folder
    }
  }
  throw new Error(`${program} is not installed; on Debian: apt-get install busybox-static`)
}

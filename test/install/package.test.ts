import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, rmdir, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'

const exec = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

/** What no source is. */
const MADE = new Set(['.git', 'node_modules', 'dist', 'package'])

let folder: string
/** This Debian as a folder of its own: what is written there is in memory, and the machine keeps its files. */
let debian: string
const undo = new AsyncDisposableStack()

/** A copy of the checkout: to build in the checkout itself would take `dist/` away from the tests beside this one. */
let checkout: string
const run = async (file: string, args: readonly string[], env: Record<string, string> = {}, cwd = root) =>
  (await exec(file, args, { cwd, env: { ...process.env, ...env }, maxBuffer: 2 ** 24 })).stdout
const inside = (...args: string[]): Promise<string> =>
  run('chroot', [debian, ...args], { DEBIAN_FRONTEND: 'noninteractive' })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-package-'))
  undo.defer(() => rmdir(folder))
  await run('mount', ['-t', 'tmpfs', 'shadow-package', folder])
  undo.defer(() => run('umount', [folder]).then())
  checkout = join(folder, 'checkout')
  for (const name of await readdir(root))
    if (!MADE.has(name)) await cp(join(root, name), join(checkout, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(checkout, 'node_modules'))
  debian = join(folder, 'debian')
  for (const name of ['debian', 'upper', 'work']) await mkdir(join(folder, name))
  const layers = `lowerdir=/,upperdir=${folder}/upper,workdir=${folder}/work`
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, debian])
  undo.defer(() => run('umount', [debian]).then())
})
afterAll(() => undo.disposeAsync())

/** dpkg and npm unpack all of it several times. */
const LONG = { timeout: 240_000 }

test('the Debian package is installed, upgraded and removed; settings and data stay', LONG, async () => {
  const built = await run('contrib/package/make-deb', [folder], { SHADOW_PACKAGE_LEVEL: '0' }, checkout)
  const deb = built.trim().split('\n').at(-1) ?? ''
  await cp(deb, join(debian, 'tmp/shadow.deb'))

  await inside('dpkg', '--install', '/tmp/shadow.deb')
  assert.equal(await inside('shadow', '--version'), `${version}\n`)
  assert.match(await inside('getent', 'passwd', 'shadow'), /^shadow:/)
  assert.equal((await stat(join(debian, 'var/lib/shadow'))).mode & 0o777, 0o700)
  const unit = await readFile(join(debian, 'usr/lib/systemd/system/shadow.service'), 'utf8')
  assert.match(unit, /^ExecStart=\/usr\/lib\/shadow\/bin\/shadow up$/m)
  assert.doesNotMatch(unit, /\/opt/)

  const settings = join(debian, 'etc/default/shadow')
  await writeFile(settings, 'SHADOW_LISTEN=0.0.0.0:80\n')
  await writeFile(join(debian, 'var/lib/shadow/volume.img'), 'data')
  const next = join(folder, 'next')
  await run('dpkg-deb', ['--raw-extract', deb, next])
  await run('sed', ['-i', 's/^Version: .*/Version: 999.0.0/', join(next, 'DEBIAN/control')])
  await run('dpkg-deb', ['-Zgzip', '-z0', '--build', next, join(debian, 'tmp/next.deb')])
  await inside('dpkg', '--install', '/tmp/next.deb')
  assert.match(await inside('dpkg-query', '--show', 'shadow-hosting'), /999\.0\.0/)
  assert.equal(await readFile(settings, 'utf8'), 'SHADOW_LISTEN=0.0.0.0:80\n')

  await inside('dpkg', '--remove', 'shadow-hosting')
  await assert.rejects(stat(join(debian, 'usr/lib/shadow')), { code: 'ENOENT' })
  assert.equal(await readFile(settings, 'utf8'), 'SHADOW_LISTEN=0.0.0.0:80\n')

  const purged = await inside('dpkg', '--purge', 'shadow-hosting')
  assert.match(purged, /\/var\/lib\/shadow is kept/)
  await assert.rejects(stat(settings), { code: 'ENOENT' })
  assert.equal(await readFile(join(debian, 'var/lib/shadow/volume.img'), 'utf8'), 'data')
})

test('the packed tarball is installed by npm install -g', LONG, async () => {
  const tarball =
    (await run('npm', ['pack', '--silent', '--pack-destination', folder], {}, checkout)).trim().split('\n').at(-1) ?? ''
  const prefix = join(folder, 'global')
  const quick = ['--no-audit', '--no-fund', '--prefer-offline', '--silent']
  await run('npm', ['install', '--global', '--prefix', prefix, ...quick, join(folder, tarball)])
  assert.equal(await run(join(prefix, 'bin/shadow'), ['--version']), `${version}\n`)
  assert.match(await run(join(prefix, 'bin/shadow'), ['help', 'errors']), /app-not-found/)
  await rm(prefix, { recursive: true })
})

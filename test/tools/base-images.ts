import { execFile } from 'node:child_process'
import { access, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TEST_FOLDER_PREFIX } from './environment.ts'
import type { OwnDocker } from './own-docker.ts'

const MAKE_IMAGE = join(import.meta.dirname, '../../contrib/dev/make-image')
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'
const run = promisify(execFile)

/** The programs of this machine that a base image is made of. */
export type Program = 'python' | 'go' | 'caddy'

/** Whether this machine has the program. */
export const has = (program: Program): Promise<boolean> =>
  run('sh', [
    '-c',
    { python: 'python3 -c "import ensurepip"', go: 'go version', caddy: 'caddy version' }[program],
  ]).then(
    () => true,
    () => false,
  )

/**
 * Makes a base image of a program of this machine, under the name of the official one, on a Docker that nobody else uses: no registry is
 * asked for it.
 */
export async function standIn(docker: OwnDocker, program: Program, name: string): Promise<void> {
  const env = { ...process.env, DOCKER_HOST: `unix://${docker.socket}` }
  const made = await run(MAKE_IMAGE, [`stand-in/${program}`, '-', program], { env })
  await docker.run('tag', made.stdout.trim(), name)
}

/** An image with certificates and nothing to run, for programs that bring all they need. */
export async function emptyImage(docker: OwnDocker, name: string): Promise<void> {
  const stage = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  try {
    await mkdir(join(stage, 'etc/ssl/certs'), { recursive: true })
    await mkdir(join(stage, 'tmp'))
    await writeFile(join(stage, 'etc/passwd'), 'root:x:0:0:root:/root:/sbin/nologin\n')
    await cp(CERTIFICATES, join(stage, 'etc/ssl/certs/ca-certificates.crt'), { dereference: true })
    await imported(docker, stage, name)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

/** Whether this machine can make Debian's Apache with PHP: that takes a minute or two, so it is asked for. */
export const makesPhp = (): Promise<boolean> =>
  process.env['SHADOW_TEST_PHP'] === undefined
    ? Promise.resolve(false)
    : access('/usr/sbin/debootstrap').then(
        () => true,
        () => false,
      )

/** The official image is Apache and PHP on Debian too, with the same files of Apache, and a command of its own. */
export async function phpImage(docker: OwnDocker, name: string): Promise<void> {
  const stage = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  try {
    const root = join(stage, 'debian')
    const packages = 'apache2,libapache2-mod-php,ca-certificates'
    await run('debootstrap', ['--variant=minbase', `--include=${packages}`, 'bookworm', root])
    const starts = '#!/bin/sh\n. /etc/apache2/envvars\nmkdir -p "$APACHE_RUN_DIR"\nexec apache2 -DFOREGROUND "$@"\n'
    await writeFile(join(root, 'usr/local/bin/apache2-foreground'), starts, { mode: 0o755 })
    await rm(join(root, 'var/cache/apt'), { recursive: true, force: true })
    for (const stream of ['access', 'error', 'other_vhosts_access']) {
      const log = join(root, `var/log/apache2/${stream}.log`)
      await rm(log, { force: true })
      await symlink(stream === 'error' ? '/dev/stderr' : '/dev/stdout', log)
    }
    await imported(docker, root, name)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

async function imported(docker: OwnDocker, folder: string, name: string): Promise<void> {
  const file = `${folder}.tar`
  try {
    await run('tar', ['-C', folder, '--numeric-owner', '-cf', file, '.'])
    await docker.run('import', '--change', 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', file, name)
  } finally {
    await rm(file, { force: true })
  }
}

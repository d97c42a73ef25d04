import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const MAKE_IMAGE = join(import.meta.dirname, '../../contrib/dev/make-image')
const APPS = join(import.meta.dirname, 'apps')

let busybox: Promise<string> | undefined
let node: Promise<string> | undefined
let npm: Promise<string> | undefined
let sandbox: Promise<string> | undefined

/** An image with busybox alone: all applets in its PATH, no command. It is made from this machine's busybox if it does not exist. */
export function busyboxImage(): Promise<string> {
  busybox ??= make('shadow-test/busybox', '-', 'busybox')
  return busybox
}

/** An image with the project's Node, and the apps of `test/tools/apps` in /srv. By default it runs /srv/app.mjs. */
export function nodeImage(): Promise<string> {
  node ??= make('shadow-test/node', APPS, 'node', 'node', '/srv/app.mjs')
  return node
}

/** A base image to build Node apps on: Node, npm and a shell. */
export function npmImage(): Promise<string> {
  npm ??= make('shadow-test/npm', '-', 'npm')
  return npm
}

/** The image of contrib/examples/sandbox: bash, Python and a user who is called user. */
export function sandboxImage(): Promise<string> {
  sandbox ??= make('shadow-examples/sandbox', '-', 'sandbox', 'sleep', 'infinity')
  return sandbox
}

async function make(...args: string[]): Promise<string> {
  return (await promisify(execFile)(MAKE_IMAGE, args)).stdout.trim()
}

/** An image made from `busyboxImage` with more lines of a Dockerfile. */
export async function builtImage(name: string, ...lines: string[]): Promise<string> {
  const tag = `shadow-test/${name}`
  const building = promisify(execFile)('docker', ['build', '--quiet', '--tag', tag, '-'], {
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
  })
  building.child.stdin?.end([`FROM ${await busyboxImage()}`, ...lines, ''].join('\n'))
  await building
  return tag
}

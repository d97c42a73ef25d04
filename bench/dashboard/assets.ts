import { execFile } from 'node:child_process'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

const root = join(import.meta.dirname, '../..')

/** Builds the page, and copies it into the folder; returns the folder. */
export async function buildPage(folder: string): Promise<string> {
  const vite = join(root, 'node_modules/.bin/vite')
  const args = ['build', '--config', 'src/dashboard/vite.config.ts', '--logLevel', 'error']
  await promisify(execFile)(vite, args, { cwd: root })
  await cp(join(root, 'dist/dashboard'), folder, { recursive: true })
  return folder
}

/** What a browser loads before it can show anything: the page, and the scripts and styles that it names. Parts that are loaded later do not count. */
export async function firstLoad(folder: string): Promise<{ readonly scriptKb: number; readonly allKb: number }> {
  const html = await readFile(join(folder, 'index.html'), 'utf8')
  const named = [...html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css|svg))"/g)].map(([, path = '']) => path)
  const sizes = await Promise.all(
    named.map(async path => ({ path, bytes: gzipSync(await readFile(join(folder, path))).length })),
  )
  const sum = (all: readonly { readonly bytes: number }[]): number =>
    all.reduce((total, { bytes }) => total + bytes, 0) / 1_000
  return {
    scriptKb: sum(sizes.filter(({ path }) => path.endsWith('.js'))),
    allKb: sum(sizes) + gzipSync(html).length / 1_000,
  }
}

import { readFile, readlink, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { kernelFile, kernelLink } from '../../../lib/kernel-files.ts'
import { mountinfo } from '../../filesystem/mountinfo.ts'
import { GATE_PATH } from './gate-program.ts'

/** Whether the process is at a gate, and no app yet. */
export function waitsAt(pid: number): boolean {
  return kernelLink(`/proc/${pid}/exe`) === GATE_PATH
}

/** The working directory of the process, without links in it. */
export const folderOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/cwd`)

/** The variables that the process began with, as `NAME=value`. */
export async function environOf(pid: number): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter(Boolean)
}

/** Without what belongs to the user and the machine that the process runs as. */
export const ownOf = (environ: readonly string[]): readonly string[] =>
  environ.filter(variable => variable.includes('=') && !/^(?:HOME|HOSTNAME)=/.test(variable))

/** How many mounts the process has at the path, one over the other. */
export async function mountsAt(pid: number, path: string): Promise<number> {
  return (await mountinfo(pid)).filter(({ at }) => at === path).length
}

/** The device of the uppermost mount at the path, as the process sees it. */
export async function deviceAt(pid: number, path: string): Promise<string | undefined> {
  return (await mountinfo(pid)).findLast(({ at }) => at === path)?.device
}

/** The device that is mounted at a folder of this machine, as `major:minor`; undefined if none is. A machine may have thousands of mounts: they are not read. */
export async function deviceHere(folder: string): Promise<string | undefined> {
  const [own, above] = await Promise.all([stat(folder), stat(dirname(folder))])
  if (own.dev === above.dev) return undefined
  const dev = BigInt(own.dev)
  // As makedev(3) of Linux puts them together.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** Whether the process has a network beside its loopback: that of a holder goes with the holder. */
export function hasNetwork(pid: number): boolean {
  const lines = (kernelFile(`/proc/${pid}/net/dev`) ?? '').split('\n')
  return lines.some(line => line.includes(':') && !/^\s*lo:/.test(line))
}

import { access, readFile, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

// dockerd searches its PATH, then (from 25 on) its own folders.
const FOLDERS = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/usr/libexec/docker',
  '/usr/local/libexec/docker',
]

/** Whether this machine has docker-init, a PID 1 that passes signals on and reaps. */
export async function hasInit(): Promise<boolean> {
  const tries = await Promise.allSettled(FOLDERS.map(folder => access(`${folder}/docker-init`)))
  return tries.some(({ status }) => status === 'fulfilled')
}

// docker-init needs a millisecond or two; on a busy machine it may not have had its turn after a hundred.
const TRIES = 500

/** Waits for docker-init (`pid` on this machine) to have become two: itself and the command. False where it ended instead. */
export async function untilExecuted(pid: number): Promise<boolean> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
      // Its own program is read last: before it has a child it may still be the runtime about to become docker-init.
      if (child && (await readlink(`/proc/${child}/exe`)) !== (await readlink(`/proc/${pid}/exe`))) return true
    } catch {
      // It has just ended; or /proc is not that of Docker's machine, and the next inspection of the container shows it.
      if (!(await isThere(pid))) return false
    }
    await sleep(1)
  }
  return true
}

const isThere = (pid: number): Promise<boolean> =>
  access(`/proc/${pid}`).then(
    () => true,
    () => false,
  )

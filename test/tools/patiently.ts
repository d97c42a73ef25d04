import { setTimeout as wait } from 'node:timers/promises'

/** Resolves when it becomes true, however long that takes: for programs such as restic, which have a low priority on a busy machine. */
export async function patiently(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await wait(100)
}

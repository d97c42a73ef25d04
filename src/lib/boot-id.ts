import { readFileSync } from 'node:fs'

/** Which boot of this machine it is: a random id that the kernel makes at each one. */
export const bootNow = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

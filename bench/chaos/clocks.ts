import { existsSync, globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'

const [LIBRARY] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')

/** Whether clocks can be stepped here: Debian's package faketime is installed. */
export const hasClocks = LIBRARY !== undefined && existsSync(LIBRARY)

const fileIn = (folder: string): string => `${folder}/clock`

/** Settings of a program whose wall clock can be stepped. Its monotonic clock is the real one. */
export const clockSettings = (folder: string): Record<string, string> =>
  LIBRARY === undefined
    ? {}
    : {
        LD_PRELOAD: LIBRARY,
        FAKETIME_TIMESTAMP_FILE: fileIn(folder),
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        NO_FAKE_STAT: '1',
      }

/** Sets the clock of the machine with this folder ahead by so many seconds of real time; negative: behind. */
export const setClock = (folder: string, seconds: number): Promise<void> =>
  writeFile(fileIn(folder), `${seconds < 0 ? '' : '+'}${seconds}\n`)

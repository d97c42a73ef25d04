import { closeSync, openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { ShadowError } from '../lib/errors.ts'

const ENTER = /[\r\n]/
const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const BACKSPACE = '\u007f'

/**
 * Asks on the terminal of this process, also where stdin and stdout are pipes, and shows nothing of what is typed. Undefined where there is no
 * terminal.
 */
export async function askSecret(question: string): Promise<string | undefined> {
  const fd = openTerminal()
  if (fd === undefined) return undefined
  const input = new ReadStream(openSync('/dev/tty', 'r')).setRawMode(true).setEncoding('utf8')
  writeSync(fd, question)
  try {
    let typed = ''
    for await (const keys of input as AsyncIterable<string>)
      for (const key of keys) {
        if (ENTER.test(key) || key === CTRL_D) return typed
        if (key === CTRL_C) throw new ShadowError('bad-input', 'nothing was given; nothing was done')
        typed = key === BACKSPACE ? [...typed].slice(0, -1).join('') : typed + key
      }
    return typed
  } finally {
    input.setRawMode(false).destroy()
    writeSync(fd, '\n')
    closeSync(fd)
  }
}

function openTerminal(): number | undefined {
  try {
    return openSync('/dev/tty', 'r+')
  } catch {
    return undefined // a service, or a job of cron
  }
}

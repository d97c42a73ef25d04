import { MESSAGE_AT, MOST_MESSAGE_BYTES } from './gate-program.ts'

/** What a parked container becomes when its gate opens. */
export type GateCommand = {
  /** The working directory; undefined: the one that the gate has. */
  readonly folder: string | undefined
  /** The programs to try, in their order. */
  readonly programs: readonly string[]
  readonly args: readonly string[]
  /** `NAME=value`. */
  readonly env: readonly string[]
}

const WORD_BYTES = 8

/**
 * The bytes for the gate, which does not compute: words of 64 bits with the length of the whole, the addresses of the folder (0: none), of argv and of
 * envp, then the programs, argv and envp, each ended by 0, then the texts. Undefined if it is too long.
 */
export function gateMessage({ folder, programs, args, env }: GateCommand): Buffer | undefined {
  const lists = [programs, args, env]
  const texts = [...(folder === undefined ? [] : [folder]), ...lists.flat()].map(text => Buffer.from(`${text}\0`))
  const words = 4 + lists.reduce((sum, list) => sum + list.length + 1, 0)
  const length = texts.reduce((sum, { length }) => sum + length, words * WORD_BYTES)
  if (length > MOST_MESSAGE_BYTES) return undefined
  const message = Buffer.alloc(length)
  let word = 0
  let textAt = words * WORD_BYTES
  let text = 0
  const put = (value: number): void => {
    message.writeBigUInt64LE(BigInt(value), word * WORD_BYTES)
    word += 1
  }
  const putText = (): void => {
    put(MESSAGE_AT + textAt)
    textAt += texts[text]?.copy(message, textAt) ?? 0
    text += 1
  }
  put(length)
  if (folder === undefined) put(0)
  else putText()
  const argsAt = 4 + programs.length + 1
  put(MESSAGE_AT + argsAt * WORD_BYTES)
  put(MESSAGE_AT + (argsAt + args.length + 1) * WORD_BYTES)
  for (const list of lists) {
    for (const _ of list) putText()
    put(0)
  }
  return message
}

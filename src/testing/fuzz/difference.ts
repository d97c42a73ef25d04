import type { Message, Reading } from './message.ts'
import { ours } from './ours.ts'
import { theirs } from './theirs.ts'

export type Input = {
  readonly bytes: Buffer
  readonly kind: 'request' | 'response'
  /** For answers: which ones answer HEAD. */
  readonly heads: readonly boolean[]
}

/** The outcome of an input: refused by us, understood alike, or understood differently (the text says how). */
export type Outcome = { readonly refused: boolean; readonly messages: number; readonly differs: string | undefined }

/** Reads the bytes with our framer and with Node's parser, in different pieces, and compares the results. */
export function compare(
  { bytes, kind, heads }: Input,
  cutOurs: readonly number[],
  cutTheirs: readonly number[],
): Outcome {
  const we = ours(split(bytes, cutOurs), kind, heads)
  const they = theirs(split(bytes, cutTheirs), kind, heads)
  const on = kind === 'request' ? theirs([we.passed], kind) : undefined
  const differs = difference(we, they) ?? (on && passedOn(we, on))
  return { refused: we.stopped !== undefined, messages: we.messages.length, differs }
}

/** Every message that we pass on must be read alike by Node. Where we stop, Node may go on. */
function difference(we: Reading, they: Reading): string | undefined {
  for (const [at, mine] of we.messages.entries()) {
    const other = they.messages[at]
    // After an offer to upgrade that we ignore, Node stops reading. What we pass on after it is read by Node separately.
    if (other === undefined && they.stopped === 'upgrade') return undefined
    if (other === undefined) return `we read message ${at}, they stopped: ${they.stopped}`
    const isCut = we.stopped !== undefined && at === we.messages.length - 1
    const theyCut = they.stopped === 'upgrade' && at === they.messages.length - 1
    const found = unlike(mine, other, isCut, theyCut)
    if (found !== undefined) return `message ${at}: ${found}`
  }
  if (we.stopped !== undefined) return undefined
  if (they.messages.length > we.messages.length)
    return `they read a message that we did not: ${they.messages.length} and ${we.messages.length}`
  const inBody = we.messages.at(-1)?.whole === false && we.withholds !== true
  if (inBody && they.stopped !== undefined) return `they refuse a body that we pass on: ${they.stopped}`
  return undefined
}

function unlike(mine: Message, other: Message, cutShort: boolean, theyCut: boolean): string | undefined {
  if (mine.start !== other.start) return `start ${mine.start}, ${other.start}`
  if (mine.target !== other.target && !absolute(mine.target, other.target))
    return `target ${mine.target}, ${other.target}`
  const [a, b] = [JSON.stringify(mine.headers), JSON.stringify(other.headers)]
  if (a !== b) return `headers ${a}, ${b}`
  if (mine.whole && !(theyCut && !other.whole)) {
    if (!other.whole) return 'we found its end, they did not'
    if (mine.body !== other.body) return `bodies ${JSON.stringify(mine.body)}, ${JSON.stringify(other.body)}`
    return undefined
  }
  if (other.whole && !cutShort) return 'they found its end, we did not'
  // After an offer to upgrade, Node stops at the end of the piece.
  if (!other.body.startsWith(mine.body) && !(theyCut && mine.body.startsWith(other.body)))
    return `the bodies so far ${JSON.stringify(mine.body)}, ${JSON.stringify(other.body)}`
  return undefined
}

const absolute = (mine: string, other: string): boolean =>
  /^https?:\/\/[^/?]+/i.test(other) && other.replace(/^https?:\/\/[^/?]+/i, '') === mine

/** The next server must read the same messages from what we pass on: otherwise one message could hide in another. */
function passedOn(we: Reading, on: Reading): string | undefined {
  if (on.stopped !== undefined && on.stopped !== 'upgrade') return `what we passed on is refused: ${on.stopped}`
  if (on.messages.length !== we.messages.length)
    return `we passed on ${we.messages.length} messages, ${on.messages.length} arrive`
  for (const [at, mine] of we.messages.entries()) {
    const other = on.messages[at]
    if (other === undefined || other.start !== mine.start) return `message ${at} arrives as ${other?.start}`
    if (!/^[/*]/.test(other.target)) return `message ${at} arrives for ${other.target}`
    const hosts = other.headers.filter(
      (_, index) => other.headers[index - 1]?.toLowerCase() === 'host' && index % 2 === 1,
    )
    if (hosts.length !== 1 || hosts[0] !== (mine.host ?? ''))
      return `message ${at} for ${mine.host} arrives for ${hosts.join(' and ')}`
    if (other.whole !== mine.whole && we.stopped === undefined)
      return `message ${at} arrives ${other.whole ? 'whole' : 'in part'}`
    if (mine.whole && (!other.whole || other.body !== mine.body)) return `the body of message ${at} arrives differently`
  }
  return undefined
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...[...cuts].sort((a, b) => a - b), bytes.length]
  const pieces: Buffer[] = []
  for (let i = 0; i + 1 < at.length; i += 1) {
    const piece = bytes.subarray(at[i], at[i + 1])
    if (piece.length > 0) pieces.push(piece)
  }
  return pieces
}

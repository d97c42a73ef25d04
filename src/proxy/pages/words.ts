import type { FailureCode, ShadowError } from '../../lib/errors.ts'

/** A title and one sentence for visitors. */
export type Words = { readonly title: string; readonly text: string }

const OUT_OF_REACH = 'This site is out of reach'
const CANNOT_START = 'This site cannot start'
const DOES_NOT_WORK = 'This site does not work now'
const REFUSED = 'The request was refused'
const IN_A_MOMENT = 'Try again in a moment.'

/**
 * The text for visitors, for each failure. It has no addresses, commands, output of the app or messages of a daemon: these are for the
 * owner of the app, in `shadow why`, in `shadow status`, and in the log under the id.
 */
const WORDS: Partial<Record<FailureCode, Words>> = {
  'bad-input': { title: REFUSED, text: 'It is not well formed.' },
  misdirected: { title: REFUSED, text: 'The connection was made for another hostname.' },
  'too-slow': { title: REFUSED, text: 'It came too slowly, or not at all.' },
  'too-large': { title: REFUSED, text: 'Its body is larger than what is taken here.' },
  'target-too-long': { title: REFUSED, text: 'Its address is longer than what is taken here.' },
  'head-too-large': { title: REFUSED, text: 'Its head is larger than what is taken here.' },
  'loop-detected': { title: REFUSED, text: 'It came by here too often.' },
  'too-many-connections': { title: 'Too many connections', text: 'Too many are open from your address.' },
  'connections-full': { title: 'Too many visitors at once', text: IN_A_MOMENT },
  'host-unknown': { title: 'Nothing here', text: 'No app has this hostname.' },
  'app-not-found': { title: 'Nothing here', text: 'No app has this hostname.' },
  'is-template': { title: 'Nothing here', text: 'This is where sessions begin; each has an address of its own.' },
  'session-not-found': { title: 'This session has ended', text: 'Open it again where you got its address.' },
  'token-missing': { title: 'You need a link', text: 'Open this session by the link that you were given.' },
  'token-refused': { title: 'This link counts no more', text: 'It has expired, or was taken back. Ask for a new one.' },
  'port-not-open': { title: 'Nothing here', text: 'This session opens no other port than its own.' },
  'auth-unreachable': { title: OUT_OF_REACH, text: 'It cannot be found out now whether you may see it.' },
  'release-ended': { title: 'This release has ended', text: 'The site itself is at its usual address.' },
  'app-asleep': { title: 'This site is asleep', text: 'A request like this does not wake it.' },
  'app-waking': { title: 'Waking up', text: 'It opens in a moment.' },
  'app-crashed': { title: DOES_NOT_WORK, text: 'It ended unexpectedly.' },
  'app-not-ready': { title: CANNOT_START, text: 'It did not answer in time.' },
  'command-not-found': { title: CANNOT_START, text: 'It is not set up right.' },
  'image-not-found': { title: CANNOT_START, text: 'It is not set up right.' },
  'volume-broken': { title: CANNOT_START, text: 'Its data cannot be read.' },
  'volume-lost': { title: CANNOT_START, text: 'The machine that had its data is gone.' },
  'volume-not-here': { title: CANNOT_START, text: 'Its data is not where it should be.' },
  'app-stuck': { title: 'This site is stuck', text: 'It could not be put to sleep properly.' },
  'app-unreachable': { title: 'This site does not answer', text: 'It cut the connection, or took none.' },
  'app-bad-answer': { title: DOES_NOT_WORK, text: 'It answered with what cannot be passed on.' },
  'node-unreachable': { title: OUT_OF_REACH, text: 'The machine that has it does not answer.' },
  'no-node': { title: OUT_OF_REACH, text: 'No machine can take it now.' },
  'no-memory': { title: OUT_OF_REACH, text: 'No machine has room for it now.' },
  'no-volume-slot': { title: OUT_OF_REACH, text: 'No machine has room for it now.' },
  'addresses-full': { title: OUT_OF_REACH, text: 'No machine has room for it now.' },
  'name-taken': { title: OUT_OF_REACH, text: 'Two machines have the name of its machine.' },
  'node-cordoned': { title: OUT_OF_REACH, text: 'Its machine is out of service.' },
  'not-allowed': { title: 'You may not see this site', text: 'It is not open to your address.' },
  'rate-limited': { title: 'Too many requests', text: IN_A_MOMENT },
  'queue-full': { title: 'Too many visitors at once', text: IN_A_MOMENT },
  'disk-full': { title: DOES_NOT_WORK, text: 'No space is left for it.' },
  'budget-spent': { title: 'This site sleeps for now', text: 'It has used what it may use this month.' },
  'app-paused': { title: 'This site is paused', text: 'Whoever runs it has paused it.' },
  'shutting-down': { title: DOES_NOT_WORK, text: 'Its machine is being restarted.' },
}

/** The text for visitors of a failure. */
export function wordsOf({ code, details: { facts } }: ShadowError): Words {
  const words = WORDS[code] ?? { title: DOES_NOT_WORK, text: 'Try again later.' }
  if (code !== 'app-crashed' || facts?.['exitCode'] === undefined) return words
  const why = facts['outOfMemory'] === undefined ? '' : ', since it ran out of memory'
  return { ...words, text: `It ended unexpectedly, with exit code ${facts['exitCode']}${why}.` }
}

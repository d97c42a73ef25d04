import { createHash, randomBytes } from 'node:crypto'
import { ShadowError } from '../../lib/errors.ts'
import { type Hostname, hostname } from '../../model/hostname.ts'
import { isImageTemplate } from '../../model/image-session.ts'
import type { AppName } from '../../model/names.ts'
import {
  LONGEST_TEMPLATE_NAME,
  type Session,
  type SessionKey,
  sessionName,
  sessionParts,
  type Template,
} from '../../model/session.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const SLOT_BYTES = 10

/**
 * The name of the session with the key, the same for each masters' answer; without a key a new one each time. `of`: what it is made from, where the
 * name of the template does not say it.
 */
export function nameFor(template: AppName, key: SessionKey | undefined, of?: string): AppName {
  if (key === undefined) return sessionName(template, base32(randomBytes(SLOT_BYTES)))
  // JSON keeps the parts apart, whatever they contain.
  const text = JSON.stringify([key.namespace, key.name, ...(of === undefined ? [] : [of])])
  return sessionName(template, base32(createHash('sha256').update(text).digest().subarray(0, SLOT_BYTES)))
}

/** The hostnames of a session: its slot before each hostname of its template. */
export function sessionHosts(session: AppName, ofTemplate: readonly Hostname[]): readonly Hostname[] {
  const { slot } = sessionParts(session) ?? {}
  return ofTemplate.map(parent => hostname(`${slot}.${parent}`))
}

/** Fails with `bad-input` if an app that is no session has the name of one, or a template a name that is too long. */
export function mustBeName(
  name: AppName,
  { template, session }: { readonly template?: Template | undefined; readonly session?: Session | undefined },
): void {
  if (session === undefined && sessionParts(name) !== undefined) throw bad(name, 'names of this form are for sessions')
  if (session === undefined && isImageTemplate(name))
    throw bad(name, 'names that end with -from-image are for sessions of images')
  if (session !== undefined && template !== undefined) throw bad(name, 'a session cannot be a template')
  if (template !== undefined && name.length > LONGEST_TEMPLATE_NAME)
    throw bad(name, `it has ${name.length} characters; a template may have ${LONGEST_TEMPLATE_NAME}`)
}

/** A template that says what volumes are copies of has to have volumes. */
export function mustHaveVolume(name: string, volumeFrom: string | undefined, volume: object | undefined): void {
  if (volumeFrom === undefined || volume !== undefined) return
  const message = `the template ${name} has no volume that could be a copy of ${volumeFrom}`
  throw new ShadowError('bad-input', message, {
    faults: [{ field: 'volumeFrom', message }],
    hint: `shadow update ${name} --volume SIZE`,
  })
}

const bad = (name: AppName, message: string): ShadowError =>
  new ShadowError('bad-input', `the app name ${name}: ${message}`, { faults: [{ field: 'name', message }] })

/** RFC 4648, 6, in lower case: five bits a character. Ten bytes make 16 characters. */
function base32(bytes: Uint8Array): string {
  let bits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  let text = ''
  for (let left = bytes.length * 8; left > 0; left -= 5) {
    text = `${ALPHABET[Number(bits & 31n)]}${text}`
    bits >>= 5n
  }
  return text
}

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { ShadowError } from './errors.ts'

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const FORM = /^v1\.([0-9a-f]{16})\.([A-Za-z0-9_-]+)$/

type Keys = { readonly id: string; readonly cipher: Buffer; readonly mac: Buffer }

/**
 * Authenticated encryption of texts (AES-256-GCM, NIST SP 800-38D: a random nonce of 96 bits for each) and signatures (HMAC-SHA256).
 * The first key makes new ones; the others still open and verify what they made. Each use has a key of its own, derived by HKDF.
 * `context` says what a text is and whose: a sealed text that was moved to another place does not open there.
 */
export class Seals {
  readonly #first: Keys
  readonly #all: readonly Keys[]

  /** Of keys of 32 bytes, the newest first. */
  constructor(secrets: readonly Buffer[]) {
    this.#all = secrets.map(keysOf)
    const [first] = this.#all
    if (first === undefined) throw new ShadowError('internal', 'no key was given to seal with')
    this.#first = first
  }

  /** The name of the newest key; it tells nothing of the key. */
  get id(): string {
    return this.#first.id
  }

  has(id: string): boolean {
    return this.#all.some(keys => keys.id === id)
  }

  seal(text: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#first.cipher, nonce).setAAD(Buffer.from(context))
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `v1.${this.#first.id}.${sealed.toString('base64url')}`
  }

  /** Fails with `secret-unreadable` where the key is not known here, or the text is not what was sealed, or not of this context. */
  open(sealed: string, context: string): string {
    const [, id = '', data = ''] = FORM.exec(sealed) ?? []
    const bytes = Buffer.from(data, 'base64url')
    if (bytes.length < NONCE_BYTES + TAG_BYTES) throw unreadable(context, 'it is not in the form that Shadow writes')
    const keys = this.#all.find(one => one.id === id)
    if (keys === undefined) throw unreadable(context, `it was encrypted with the key ${id}, which is not known here`)
    const end = bytes.length - TAG_BYTES
    const decipher = createDecipheriv('aes-256-gcm', keys.cipher, bytes.subarray(0, NONCE_BYTES))
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes.subarray(end))
    try {
      return decipher.update(bytes.subarray(NONCE_BYTES, end), undefined, 'utf8') + decipher.final('utf8')
    } catch (cause) {
      throw unreadable(context, 'it was changed, or belongs elsewhere', cause)
    }
  }

  /** Whether it was sealed with the newest key. */
  isCurrent(sealed: string): boolean {
    return FORM.exec(sealed)?.[1] === this.#first.id
  }

  /** A signature of the text; the newest key's. */
  sign(text: string): string {
    return `${this.#first.id}.${macOf(this.#first, text).toString('base64url')}`
  }

  /** Whether one of the keys has signed the text. */
  verify(text: string, signature: string): boolean {
    const [id, mac = ''] = signature.split('.')
    const keys = this.#all.find(one => one.id === id)
    if (keys === undefined) return false
    const [shown, right] = [Buffer.from(mac, 'base64url'), macOf(keys, text)]
    return shown.length === right.length && timingSafeEqual(shown, right)
  }

  /** A short name of a value, which tells equal values of equal contexts and nothing more: guesses cannot be tried without the key. */
  digest(value: string, context: string): string {
    return macOf(this.#first, `digest ${context} ${value}`).toString('hex').slice(0, 32)
  }
}

/** Parser: keys of 32 bytes in base64, with commas or on lines of their own. It never repeats what it was given. */
export function sealKeys(text: string): readonly Buffer[] {
  const keys = text.split(/[,\s]+/).filter(one => one !== '')
  return keys.map((one, at) => {
    const key = /^[A-Za-z0-9+/_-]{43}=?$/.test(one) ? Buffer.from(one, 'base64') : undefined
    if (key?.length !== KEY_BYTES)
      throw new ShadowError(
        'bad-input',
        `key ${at + 1} of ${keys.length} is not ${KEY_BYTES} bytes in base64; make one with: openssl rand -base64 32`,
      )
    return key
  })
}

export const newSealKey = (): string => randomBytes(KEY_BYTES).toString('base64')

function keysOf(secret: Buffer): Keys {
  const derive = (use: string): Buffer => Buffer.from(hkdfSync('sha256', secret, '', `shadow ${use}`, KEY_BYTES))
  const id = createHash('sha256').update(derive('key id')).digest('hex').slice(0, 16)
  return { id, cipher: derive('seal'), mac: derive('sign') }
}

const macOf = ({ mac }: Keys, text: string): Buffer => createHmac('sha256', mac).update(text).digest()

const unreadable = (context: string, why: string, cause?: unknown): ShadowError =>
  new ShadowError('secret-unreadable', `${context} cannot be decrypted: ${why}`, {
    cause,
    hint: 'all masters of a store need the same keys: SHADOW_SECRETS_KEY, or the file secrets-key in the data folder',
  })

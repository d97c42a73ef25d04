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
 * Authenticated encryption of texts (AES-256-GCM, NIST SP 800-38D, with a random nonce of 96 bits for each) and signatures (HMAC-SHA256).
 * The first key encrypts and signs; the other keys only decrypt and verify. Each use has a key of its own, derived by HKDF.
 * `context` says what a text is and whose it is: a sealed text that was copied to another place cannot be opened there.
 */
export class Seals {
  readonly #first: Keys
  readonly #all: readonly Keys[]

  /** Keys of 32 bytes, the newest first. */
  constructor(secrets: readonly Buffer[]) {
    this.#all = secrets.map(keysOf)
    const [first] = this.#all
    if (first === undefined) throw new ShadowError('internal', 'no key was given to seal with')
    this.#first = first
  }

  /** The name of the newest key; it reveals nothing of the key. */
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

  /**
   * Decrypts the text. Fails with `secret-unreadable` if the key is not known here, if the text was changed, or if it belongs to another
   * context.
   */
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

  /** Whether the text was sealed with the newest key. */
  isCurrent(sealed: string): boolean {
    return FORM.exec(sealed)?.[1] === this.#first.id
  }

  /** A signature of the text with the newest key. */
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

  /** A short digest of a value. Equal values in one context have equal digests; nobody can test a guess without the key. */
  digest(value: string, context: string): string {
    return macOf(this.#first, `digest ${context} ${value}`).toString('hex').slice(0, 32)
  }
}

/** Parses keys of 32 bytes in base64, separated by commas or newlines. Error messages never contain the input. */
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

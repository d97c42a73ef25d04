import { createCipheriv, createDecipheriv, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { ShadowError } from '../../lib/errors.ts'
import type { Manifest } from './format.ts'

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt)
const NONCE = 12
const TAG = 16

/** How new archives turn a passphrase into a key: about 0.4 s and 128 MiB of memory for each guess. */
export const newTerms = (): NonNullable<Manifest['secrets']> => ({
  kdf: 'scrypt',
  cost: 2 ** 17,
  blockSize: 8,
  salt: randomBytes(16).toString('base64'),
})

/** The keys of an archive: one encrypts its secrets (AES-256-GCM), and one signs its checksums (HMAC-SHA256). */
export class ArchiveKeys {
  readonly #key: Buffer
  readonly #signing: Buffer

  private constructor(bytes: Buffer) {
    this.#key = bytes.subarray(0, 32)
    this.#signing = bytes.subarray(32)
  }

  static async from(passphrase: string, { cost, blockSize, salt }: NonNullable<Manifest['secrets']>) {
    const limits = { N: cost, r: blockSize, p: 1, maxmem: 256 * cost * blockSize }
    return new ArchiveKeys(await derive(passphrase.normalize('NFC'), Buffer.from(salt, 'base64'), 64, limits))
  }

  /** Encrypts the text; `context` is what it belongs to, and is not in the result. */
  seal(text: string, context: Buffer): Buffer {
    const nonce = randomBytes(NONCE)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(context)
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  }

  /** Fails with `bad-input` for another passphrase, or where text or context were changed. */
  open(sealed: Buffer, context: Buffer): string {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE))
        .setAAD(context)
        .setAuthTag(sealed.subarray(-TAG))
      return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]).toString()
    } catch (cause) {
      throw new ShadowError(
        'bad-input',
        'the passphrase is another one, or the archive was changed: its secrets cannot be read; nothing was changed',
        { cause },
      )
    }
  }

  sign(text: string): string {
    return createHmac('sha256', this.#signing).update(text).digest('hex')
  }

  isSigned(text: string, hmac: string): boolean {
    const wanted = Buffer.from(this.sign(text))
    const given = Buffer.from(hmac)
    return wanted.length === given.length && timingSafeEqual(wanted, given)
  }
}

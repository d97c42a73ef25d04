import { z } from 'zod'

// Docker takes any name without "=". Shells cannot set a name that begins with a digit, which is more often a typing mistake.
const EnvNameSchema = z
  .string()
  .regex(/^(?!\d)[^\s=\p{Cc}]+$/u, 'a variable is named without spaces and =, and begins with no digit')

const value = z.string().refine(text => !text.includes('\0'), { error: 'cannot hold a NUL byte' }) // execve cannot carry it

/** Variables of an environment. */
export const EnvSchema = z.preprocess(refuseProto, z.record(EnvNameSchema, value))

/** Linux takes no variable of more than 128 KiB. */
const MOST_BYTES = 64 * 1024
export const MOST_SECRETS = 200

const SecretNameSchema = EnvNameSchema.refine(name => name !== 'PORT', {
  error: 'cannot be a secret: Shadow sets PORT to the port of the app',
}).refine(name => name.length <= 200, { error: 'is longer than 200 characters' })
const SecretValueSchema = value.refine(text => Buffer.byteLength(text) <= MOST_BYTES, {
  error: `is larger than ${MOST_BYTES / 1024} KiB; put it into a file on the volume`,
})
const few = { error: `more than ${MOST_SECRETS} secrets` }
const isFew = (secrets: object): boolean => Object.keys(secrets).length <= MOST_SECRETS

export const SecretsSchema = z.preprocess(refuseProto, z.record(SecretNameSchema, SecretValueSchema).refine(isFew, few))
/** A JSON merge patch of secrets: null takes one away. */
export const SecretsPatchSchema = z
  .preprocess(refuseProto, z.record(SecretNameSchema, SecretValueSchema.nullable()).refine(isFew, few))
  .meta({ id: 'SecretsPatch' })

/** Zod silently drops this key from a record. */
function refuseProto(value: unknown, context: z.core.$RefinementCtx): unknown {
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, '__proto__'))
    context.issues.push({
      code: 'custom',
      message: 'cannot be the name of a variable here',
      path: ['__proto__'],
      input: value,
    })
  return value
}

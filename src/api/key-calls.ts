import { z } from 'zod'
import { admin, type Call } from './call-shape.ts'
import { AppNameSchema } from './schemas.ts'

const KeyNameSchema = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[\w.@+-]+$/, 'is made of letters, digits, ".", "_", "-", "+" and "@"')

const SshKeySchema = z
  .object({
    name: KeyNameSchema,
    fingerprint: z.string().describe('as ssh-keygen -l shows it: SHA256:…'),
    algorithm: z.string(),
    apps: z.array(AppNameSchema).nullable().describe('the apps that the key opens; null: all'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'SshKey' })

/** The calls about the public keys of people who may open apps by SSH. */
export const keyCalls = {
  addSshKey: {
    says: 'let the owner of a public key open apps by SSH; apps: left out: all apps',
    body: z.strictObject({
      name: KeyNameSchema,
      publicKey: z.string().max(16_384).describe('one line, as in ~/.ssh/id_ed25519.pub'),
      apps: z.array(AppNameSchema).min(1).max(1_000).optional(),
    }),
    answer: SshKeySchema,
    status: 201,
    may: admin,
  },
  listSshKeys: {
    says: 'list the public keys that open apps by SSH; host: the fingerprint of the SSH server, which all masters share; null: no master has served SSH yet',
    answer: z.object({
      items: z.array(SshKeySchema),
      host: z.string().nullable(),
      server: z
        .object({ port: z.int(), hostKey: z.string().describe('as a line of known_hosts has it: ssh-ed25519 AAAA…') })
        .nullish()
        .describe('the SSH server of the master that answers; null: this master serves no SSH'),
    }),
    may: admin,
  },
  removeSshKey: {
    says: 'let a public key open nothing any more; its open connections end within 30 s',
    params: z.strictObject({ key: KeyNameSchema }),
    answer: 'nothing',
    may: admin,
  },
} satisfies Record<string, Call>

import { z } from 'zod'
import type { Egress } from '../model/egress.ts'
import { hostname } from '../model/hostname.ts'
import { hostsNotReached, usualFormat, type WireCredential, wireFormat, wireHeader } from '../model/wire.ts'
import { parsed } from './parsed.ts'

const secret = z.string().regex(/^(?!\d)[^\s=\p{Cc}]{1,200}$/u, 'is not the name of a secret')
const host = parsed('WireHost', 'a host that gets a secret', 'api.example.com', hostname)

/** Secrets that nodes add to requests, as a definition has them. */
export const WireSchema = z
  .array(
    z
      .strictObject({
        secret: secret.describe('the name of a secret of the app'),
        host: host.describe('the one host whose requests get it; egress has to name it'),
        header: parsed('WireHeader', 'a header that carries a secret', 'Authorization', wireHeader).default(
          'Authorization',
        ),
        format: parsed('WireFormat', 'how it is written there; {} stands for it', 'Bearer {}', wireFormat).optional(),
      })
      .transform(({ format, ...rest }) => ({ ...rest, format: format ?? usualFormat(rest.header) })),
  )
  .max(20)
  .refine(all => new Set(all.map(one => `${one.host} ${one.header.toLowerCase()}`)).size === all.length, {
    error: 'has one header of a host twice',
  })
  .describe('secrets that are added to requests of the app and are not in its container; left out: none')

/** The same as it is stored, and as nodes get it. */
export const StoredWireSchema = z.array(
  z.object({
    secret: z.string(),
    host,
    header: z.string(),
    format: z.string(),
    value: z.string().optional().describe('the secret: only in what a node of the app gets'),
  }),
)

/** Refuses a credential for a host that the app reaches only as any other of the internet: its requests would not pass the node. */
export function refuseUnreachedHosts(
  { wire, egress }: { wire?: readonly WireCredential[] | undefined; egress?: readonly Egress[] | undefined },
  context: z.core.$RefinementCtx,
): void {
  for (const one of hostsNotReached(wire ?? [], egress))
    context.issues.push({
      code: 'custom',
      message: `has the host ${one}, which egress does not name; add it: shadow egress add NAME ${one}`,
      path: ['wire'],
      input: one,
    })
}

import { isIP } from 'node:net'
import { z } from 'zod'
import type { DnsView } from '../model/dns.ts'
import { type Call, frontParams } from './call-shape.ts'
import type { dnsPaths } from './dns-paths.ts'
import { described, HostnameSchema } from './schemas.ts'

const MOST_ADDRESSES = 16
const AddressesSchema = z.array(z.string().refine(text => isIP(text) !== 0, 'is no IP address')).max(MOST_ADDRESSES)

/** What a front says of itself. */
export const FrontAnnouncementSchema = z.strictObject({
  addresses: AddressesSchema.describe('where clients on the internet reach it'),
  isNameServer: z.boolean(),
  isLeaving: z.boolean().describe('it is about to stop'),
})

/** What the name servers of all fronts answer from. */
export const DnsViewSchema = described<DnsView>(
  z.object({
    zones: z.array(HostnameSchema),
    authorities: z.array(z.string()).describe('who may issue certificates for names of the zones; none: anybody'),
    fronts: z.array(
      z.object({
        name: z.string(),
        addresses: z.array(z.string()),
        isNameServer: z.boolean(),
        isAlive: z.boolean().describe('it announces itself, and is not about to stop'),
      }),
    ),
  }),
  'DnsView',
)

/** The calls by which fronts answer as name servers. */
export const dnsCalls = {
  announceFront: {
    says: 'tell where clients reach this front, every few seconds; answers with all such fronts and the zones of the name servers',
    params: frontParams,
    body: FrontAnnouncementSchema,
    answer: DnsViewSchema,
    may: ['proxy'],
  },
  getTexts: {
    says: 'read the TXT records that a name has for the order of a certificate',
    params: z.strictObject({ hostname: HostnameSchema }),
    answer: z.object({ texts: z.array(z.string()) }),
    may: ['proxy'],
  },
} satisfies Record<keyof typeof dnsPaths, Call>

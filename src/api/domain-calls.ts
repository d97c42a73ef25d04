import { z } from 'zod'
import { type DomainState, FRONT_ANSWERS, type ZoneState } from '../model/domain-state.ts'
import { admin, appParams, type Call } from './call-shape.ts'
import type { domainPaths } from './domain-paths.ts'
import { described } from './schemas.ts'

const DomainSchema = described<DomainState>(
  z.object({
    hostname: z.string(),
    isLocal: z.boolean().describe('it ends in a name that no name server knows, such as .localhost'),
    addresses: z.array(z.string()).describe('what the name servers of this master answer'),
    fault: z.string().nullable().describe('why there is no address: ENOTFOUND, ETIMEOUT'),
    front: z
      .enum(FRONT_ANSWERS)
      .nullable()
      .describe(
        'who answers on port 80 there, as seen from this master: a front of Shadow, something else, or nobody; null: it was not asked, since there is no address, or an owner asks for a private one',
      ),
    certificate: z
      .object({
        names: z.array(z.string()),
        issuer: z.string(),
        until: z.iso.datetime(),
        fault: z.string().nullable().describe('why browsers do not take it; null: they do'),
      })
      .nullable()
      .describe('what a server shows there on port 443; null: none does, or it was not asked'),
    order: z
      .object({
        name: z.string().describe('the hostname, or the wildcard that covers it'),
        until: z.iso.datetime().nullable().describe('until when the certificate is valid that there is'),
        problem: z.string().nullable().describe('why the last order failed'),
        nextAt: z.iso.datetime().nullable().describe('when it is tried again, after a failure'),
      })
      .nullable()
      .describe('the order of its certificate by ACME; null: none was ordered'),
  }),
  'DomainState',
)

const ZoneSchema = described<ZoneState>(
  z.object({
    zone: z.string(),
    nameServers: z
      .array(z.object({ name: z.string(), addresses: z.array(z.string()) }))
      .describe('the fronts that are name servers; the zone above needs an NS record for each, and their addresses'),
    found: z.array(z.string()).describe('the name servers that this master finds for the zone'),
    fault: z.string().nullable().describe('why it finds none: ENOTFOUND, ESERVFAIL, ETIMEOUT'),
  }),
  'ZoneState',
)

/** The calls about hostnames. */
export const domainCalls = {
  listDomains: {
    says: 'find out for each hostname of an app to which addresses it leads, whether a front answers there, and which certificate is shown; nothing is woken; takes 8 s at most',
    params: appParams,
    answer: z.object({
      items: z.array(DomainSchema),
      zones: z.array(ZoneSchema).describe('those of the name servers of the fronts that have one of the hostnames'),
    }),
    may: admin,
  },
} satisfies Record<keyof typeof domainPaths, Call>

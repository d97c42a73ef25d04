import { z } from 'zod'
import { type Duration, duration, toMs } from '../model/quantities.ts'
import { type FrontPorts, MOST_TCP_PORTS, TCP_DEFAULTS, type TcpPort, usualListen } from '../model/tcp.ts'
import { parsed } from './parsed.ts'

const port = z.int().min(1).max(65_535)
const idle = parsed('ConnectionIdle', 'a length of time with its unit', '1h', duration)

/** A TCP port of the fronts that leads to a port of the app. */
const TcpPortSchema = z
  .strictObject({
    port: port.describe('port that the app listens on'),
    listen: port
      .optional()
      .describe(
        `port that fronts listen on, one of their SHADOW_TCP_PORTS; left out: ${TCP_DEFAULTS.above} more than port`,
      ),
    idle: idle
      .refine(value => toMs(value) >= 1_000, { error: 'must be at least 1s' })
      .optional()
      .describe('a connection on which no byte passes for so long is closed; left out: none is'),
    connections: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe(`most connections at a time, of each front; left out: ${TCP_DEFAULTS.connections}`),
  })
  .transform(({ listen: given, ...rest }, context): TcpPort => {
    const listen = given ?? usualListen(rest.port)
    if (listen === undefined) {
      context.addIssue({ code: 'custom', path: ['listen'], message: `is needed for the port ${rest.port}` })
      return z.NEVER
    }
    return { ...rest, listen }
  })
  .meta({ id: 'TcpPort' })

/** The TCP ports of an app. */
export const TcpPortsSchema = z
  .array(TcpPortSchema)
  .max(MOST_TCP_PORTS)
  .superRefine((ports, context) => {
    for (const [at, { listen }] of ports.entries())
      if (ports.findIndex(one => one.listen === listen) < at)
        context.addIssue({ code: 'custom', path: [at, 'listen'], message: `is ${listen} a second time` })
  })
  .meta({ id: 'TcpPorts', description: 'raw TCP ports of the fronts whose connections wake the app' })

/** The ports as they are stored. */
export const StoredTcpPortsSchema = z.array(
  z.object({
    port: z.int(),
    listen: z.int(),
    idle: z
      .string()
      .transform(text => text as Duration)
      .meta({ override: { type: 'string' } })
      .optional(),
    connections: z.int().optional(),
  }),
)

const frontPort = { listen: z.int(), app: z.string(), problem: z.string().max(1_000).optional() }
/** What a front tells of the ports that apps ask for. */
export const FrontReportSchema = z
  .strictObject({ ports: z.array(z.strictObject(frontPort)).max(10_000) })
  .meta({ id: 'FrontReport' })
export const FrontPortsSchema = z.object({
  front: z.string(),
  at: z.iso.datetime(),
  ports: z.array(z.object(frontPort)),
}) satisfies z.ZodType<FrontPorts>

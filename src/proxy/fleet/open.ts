import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Membership } from '../../api/membership.ts'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { NodeName } from '../../model/names.ts'
import type { Nodes } from '../nodes.ts'
import { Autoscaler } from './autoscaler.ts'
import {
  type CheckedFleet,
  checkedFleet,
  type Ec2Config,
  type FleetConfig,
  type FleetDriver,
  type StaticConfig,
} from './config.ts'
import { Demand } from './demand.ts'
import { ec2 } from './ec2.ts'
import { ec2Sdk } from './ec2-sdk.ts'
import type { Fleet } from './fleet.ts'
import { ec2Prices } from './prices.ts'
import { staticFleet } from './static.ts'

type Parts = Pick<ConstructorParameters<typeof Autoscaler>[0], 'master' | 'clock' | 'log'> & {
  readonly nodes: Pick<Nodes, 'all'>
  readonly membership: Membership | undefined
}

/** The fleet of this front, and what it hears of apps that no node has room for. */
export type OpenedFleet = { readonly autoscaler: Autoscaler; readonly demand: Demand }

const COMMAND_WITHIN_MS = 60_000
/** EC2 takes no larger user data. */
const MOST_USER_DATA = 16 * 1_024
const TOKEN_PLACE = '@SHADOW_JOIN_TOKEN@'
const NODE_PLACE = '@SHADOW_NODE@'

/** The fleet that the settings name; undefined where they name none. Fails with `bad-input` that names every fault. */
export async function openFleet(config: FleetConfig, parts: Parts): Promise<OpenedFleet | undefined> {
  const fleet = checkedFleet(config)
  if (fleet === undefined) return undefined
  const { nodes, master, clock, log } = parts
  const { open, prices, max } = await opened(fleet, parts)
  const demand = new Demand(clock, () => autoscaler.hasten())
  const autoscaler = new Autoscaler({
    name: config.fleetName,
    driver: fleet.driver,
    open,
    prices,
    terms: {
      max,
      warmBytes: config.fleetWarm ?? 0,
      idleMs: config.fleetIdle,
      joinWithinMs: config.fleetJoinWithin,
      standby: config.fleetStandby,
    },
    drainMs: config.fleetDrain,
    isDryRun: config.fleetDryRun === 'on',
    demand,
    nodes,
    master,
    clock,
    log,
  })
  return { autoscaler, demand }
}

type Opening = {
  readonly open: (mayOrder: () => boolean) => Promise<Fleet>
  readonly prices: string
  readonly max: number
}
type Drivers = {
  readonly [D in FleetDriver]: (
    config: Extract<CheckedFleet, { driver: D }>['config'],
    parts: Parts,
  ) => Promise<Opening>
}

/** Each driver by its name. */
const drivers: Drivers = { ec2: openOnEc2, static: openStatic }

const opened = (fleet: CheckedFleet, parts: Parts): Promise<Opening> =>
  fleet.driver === 'ec2' ? drivers.ec2(fleet.config, parts) : drivers.static(fleet.config, parts)

async function openOnEc2(config: Ec2Config, { membership, clock }: Parts): Promise<Opening> {
  if (membership === undefined)
    throw new ShadowError(
      'bad-input',
      'SHADOW_FLEET is ec2, and this front has joined no cluster that its servers could join',
      {
        hint: 'shadow cluster init, then shadow proxy join',
      },
    )
  const script = await userDataIn(config.ec2UserData)
  const prices = ec2Prices(config.ec2Prices)
  const open = async (mayOrder: () => boolean): Promise<Fleet> =>
    ec2({
      terms: {
        name: config.fleetName,
        types: config.ec2Types ?? [],
        subnets: config.ec2Subnets ?? [],
        spot: config.ec2Spot,
      },
      api: await ec2Sdk({
        region: config.ec2Region,
        mayOrder,
        template: config.ec2Template,
        image: config.ec2Image,
        securityGroups: config.ec2SecurityGroups,
        key: config.ec2Key,
        profile: config.ec2Profile,
      }),
      prices,
      userData: ({ node, joinToken }) => script.replaceAll(TOKEN_PLACE, joinToken).replaceAll(NODE_PLACE, node),
      clock,
    })
  return { open, prices: prices.source, max: config.fleetMax }
}

/** The script of the first boot; fails with `bad-input` if it cannot make a node. */
async function userDataIn(file: string): Promise<string> {
  const wrong = (message: string, cause?: unknown) =>
    new ShadowError('bad-input', `settings are wrong:\n  SHADOW_EC2_USER_DATA: ${message}`, {
      cause,
      faults: [{ field: 'SHADOW_EC2_USER_DATA', message }],
    })
  const script = await readFile(file, 'utf8').catch(cause => {
    throw wrong(`${file} cannot be read: ${systemCode(cause) ?? cause}`, cause)
  })
  if (!script.includes(TOKEN_PLACE)) throw wrong(`${file} has no ${TOKEN_PLACE}, so its servers could not join`)
  // The token takes about 200 characters more than its place.
  const bytes = Buffer.byteLength(script) + 512
  if (bytes > MOST_USER_DATA) throw wrong(`${file} has ${bytes} bytes with a token; EC2 takes ${MOST_USER_DATA}`)
  return script
}

async function openStatic(config: StaticConfig, { nodes, clock }: Parts): Promise<Opening> {
  const { staticServers, staticStart, staticStop, staticPrice, fleetMax = staticServers.length } = config
  const isUp = (name: NodeName): boolean => nodes.all.some(({ node }) => node.name === name && node.state !== 'gone')
  const open = async (): Promise<Fleet> =>
    staticFleet({
      nodes: staticServers,
      isUp,
      start: staticStart === undefined ? undefined : node => shell(staticStart, node),
      stop: staticStop === undefined ? undefined : node => shell(staticStop, node),
      usdPerHour: staticPrice,
      clock,
    })
  return {
    open,
    prices: staticPrice === undefined ? 'SHADOW_STATIC_PRICE is not set' : 'SHADOW_STATIC_PRICE',
    max: fleetMax,
  }
}

/** Runs a command of the operator, whose first argument is the node. */
async function shell(command: string, node: NodeName): Promise<void> {
  try {
    await promisify(execFile)('/bin/sh', ['-c', command, 'sh', node], { timeout: COMMAND_WITHIN_MS })
  } catch (cause) {
    const { code, killed, stderr = '' } = cause as { code?: number; killed?: boolean; stderr?: string }
    const last = stderr.trim().split('\n').at(-1) ?? ''
    throw new Error(`${killed ? `no end within ${COMMAND_WITHIN_MS / 1_000} s` : `ended with ${code}`}: ${last}`, {
      cause,
    })
  }
}

import { type Fault, ShadowError } from '../../lib/errors.ts'
import { oneOf, optionalSetting, setting, text, type Values, wholeNumber } from '../../lib/settings.ts'
import { fleetName, MOST_SERVERS } from '../../model/fleet.ts'
import { type NodeName, nodeName } from '../../model/names.ts'
import { durationMs, sizeBytes } from '../../model/quantities.ts'
import { givenPrices } from './prices.ts'

/** The drivers of fleets. */
export const FLEET_DRIVERS = ['static', 'ec2'] as const
export type FleetDriver = (typeof FLEET_DRIVERS)[number]

/** The settings of a front that runs a fleet. */
export const fleetSettings = {
  fleet: optionalSetting('SHADOW_FLEET', oneOf(...FLEET_DRIVERS), {
    help: 'lets this front start and stop servers: ec2 makes them on AWS, static starts machines that exist; needs shadow fleet allow; left out: it starts none',
  }),
  fleetName: setting('SHADOW_FLEET_NAME', fleetName, {
    default: 'fleet',
    help: 'name of the fleet, the same at all its fronts: it begins the names of its servers, and is the tag shadow:cluster on EC2, so SHADOW_EBS of its nodes is the same',
  }),
  fleetMax: optionalSetting('SHADOW_FLEET_MAX', wholeNumber(1, MOST_SERVERS), {
    help: 'the most servers that the fleet has at a time, stopped ones too; static may leave it out: all of its machines',
  }),
  fleetWarm: optionalSetting('SHADOW_FLEET_WARM', sizeBytes, {
    help: 'so much memory is kept free on all nodes together for apps that wake, such as 2GiB; left out: a server is started when an app has been refused',
  }),
  fleetIdle: setting('SHADOW_FLEET_IDLE', atLeastMinute, {
    default: '10m',
    help: 'a server that the fleet could have done without for so long is drained, and then stopped or ended',
  }),
  fleetJoinWithin: setting('SHADOW_FLEET_JOIN_WITHIN', atLeastMinute, {
    default: '10m',
    help: 'a server that has not become a healthy node by then is ended',
  }),
  fleetStandby: setting('SHADOW_FLEET_STANDBY', wholeNumber(0, MOST_SERVERS), {
    default: '0',
    help: 'so many servers are kept stopped, which cost their disks and start faster than new ones; the others are ended',
  }),
  fleetDrain: setting('SHADOW_FLEET_DRAIN', durationMs, {
    default: '1h',
    help: 'how long apps in use may go on, on a server that is given up because its apps have room elsewhere',
  }),
  fleetDryRun: setting('SHADOW_FLEET_DRY_RUN', oneOf('on', 'off'), {
    default: 'off',
    help: 'on: nothing is done, and shadow fleet plan says what would be',
  }),
  ec2Region: optionalSetting(
    'SHADOW_EC2_REGION',
    pattern(/^[a-z]{2}(-[a-z]+)+-\d+$/, 'a region such as eu-central-1'),
    {
      help: 'for ec2: the region of its servers, such as eu-central-1',
    },
  ),
  ec2Template: optionalSetting(
    'SHADOW_EC2_TEMPLATE',
    pattern(/^[A-Za-z0-9()./_-]{3,128}(:(\d+|\$Default|\$Latest))?$/, 'NAME, lt-… or NAME:VERSION'),
    {
      help: 'for ec2: launch template of its servers, by name or id, with :VERSION where it is not the default one; the settings below take precedence over it',
    },
  ),
  ec2Image: optionalSetting('SHADOW_EC2_IMAGE', pattern(/^ami-[0-9a-f]+$/, 'an image such as ami-0123456789abcdef0'), {
    help: 'for ec2: image of its servers, a plain Debian',
  }),
  ec2Types: optionalSetting(
    'SHADOW_EC2_TYPES',
    listOf(pattern(/^[a-z0-9-]+\.[a-z0-9-]+$/, 'a type such as m7g.large')),
    {
      help: 'for ec2: types of its servers by commas, the preferred one first, such as m7g.large,m7i.large; a zone without capacity for the first is tried with the next',
    },
  ),
  ec2Subnets: optionalSetting(
    'SHADOW_EC2_SUBNETS',
    listOf(pattern(/^subnet-[0-9a-f]+$/, 'a subnet such as subnet-0123456789abcdef0')),
    {
      help: 'for ec2: subnets by commas, one for each zone that servers may be in',
    },
  ),
  ec2SecurityGroups: optionalSetting(
    'SHADOW_EC2_SECURITY_GROUPS',
    listOf(pattern(/^sg-[0-9a-f]+$/, 'a security group such as sg-0123456789abcdef0')),
    {
      help: 'for ec2: security groups by commas; fronts and masters must reach port 8081',
    },
  ),
  ec2Key: optionalSetting('SHADOW_EC2_KEY', text, { help: 'for ec2: name of the key pair for SSH; left out: none' }),
  ec2Profile: optionalSetting('SHADOW_EC2_PROFILE', text, {
    help: 'for ec2: name of the instance profile of its servers, whose role has contrib/aws/iam-node.json if they have volumes on EBS',
  }),
  ec2Spot: setting('SHADOW_EC2_SPOT', oneOf('off', 'on', 'prefer'), {
    default: 'off',
    help: 'for ec2: on: servers are bought on the spot market; prefer: on demand where that has no capacity',
  }),
  ec2UserData: optionalSetting('SHADOW_EC2_USER_DATA', text, {
    help: 'for ec2: file with the first-boot script of its servers, such as contrib/cloud-init/node.sh; @SHADOW_JOIN_TOKEN@ in it becomes the token of the server, @SHADOW_NODE@ its name',
  }),
  ec2Prices: optionalSetting('SHADOW_EC2_PRICES', givenPrices, {
    help: 'for ec2: what types cost in US dollars an hour, such as m7g.large=0.0816,m7g.large/spot=0.03; left out: a built-in table of us-east-1',
  }),
  staticServers: optionalSetting('SHADOW_STATIC_SERVERS', listOf(nodeName), {
    help: 'for static: nodes of the fleet by commas, which have joined; each must be in shadow fleet allow --node',
  }),
  staticStart: optionalSetting('SHADOW_STATIC_START', text, {
    help: 'for static: shell command that starts the machine of the node $1, such as wakeonlan $(cat /etc/macs/$1); left out: you start it',
  }),
  staticStop: optionalSetting('SHADOW_STATIC_STOP', text, {
    help: 'for static: shell command that stops the machine of the node $1 once it is drained, such as ssh root@$1 poweroff; left out: it runs on',
  }),
  staticPrice: optionalSetting('SHADOW_STATIC_PRICE', dollars, {
    help: 'for static: what a machine costs in US dollars an hour while it runs, such as 0.05',
  }),
}

export type FleetConfig = Values<typeof fleetSettings>

/** What a fleet on EC2 needs. */
export type Ec2Config = FleetConfig & {
  readonly ec2Region: string
  readonly ec2UserData: string
  readonly fleetMax: number
}
export type StaticConfig = FleetConfig & { readonly staticServers: readonly NodeName[] }
export type CheckedFleet =
  | { readonly driver: 'ec2'; readonly config: Ec2Config }
  | { readonly driver: 'static'; readonly config: StaticConfig }

/** The settings of the fleet, complete; undefined where the front runs none. Fails with one `bad-input` that names all that is missing. */
export function checkedFleet(config: FleetConfig): CheckedFleet | undefined {
  const { fleet } = config
  if (fleet === undefined) return undefined
  const faults: Fault[] = []
  const needs = (given: unknown, field: string): void => {
    if (given === undefined) faults.push({ field, message: `is not set; SHADOW_FLEET=${fleet} needs it` })
  }
  if (fleet === 'ec2') {
    needs(config.fleetMax, 'SHADOW_FLEET_MAX')
    needs(config.ec2Region, 'SHADOW_EC2_REGION')
    needs(config.ec2UserData, 'SHADOW_EC2_USER_DATA')
    if (config.ec2Template === undefined) {
      needs(config.ec2Image, 'SHADOW_EC2_IMAGE')
      needs(config.ec2Types, 'SHADOW_EC2_TYPES')
    }
  } else needs(config.staticServers, 'SHADOW_STATIC_SERVERS')
  if (faults.length > 0) {
    const lines = faults.map(({ field, message }) => `  ${field}: ${message}`).join('\n')
    throw new ShadowError('bad-input', `settings are wrong:\n${lines}`, { faults, hint: 'shadow help settings' })
  }
  return fleet === 'ec2'
    ? { driver: 'ec2', config: config as Ec2Config }
    : { driver: 'static', config: config as StaticConfig }
}

/** Parser: a duration of at least a minute: machines take that long to start. */
function atLeastMinute(value: string): number {
  const ms = durationMs(value)
  if (ms < 60_000 || ms > MOST_MS) throw new ShadowError('bad-input', `"${value}" is not from 1m to 1h`)
  return ms
}
const MOST_MS = 3_600_000

/** Parser: text of this form. */
function pattern(form: RegExp, what: string): (value: string) => string {
  return value => {
    if (form.test(value)) return value
    throw new ShadowError('bad-input', `"${value}" is not ${what}`)
  }
}

/** Parser: different ones by commas. */
function listOf<T>(parse: (text: string) => T): (value: string) => readonly T[] {
  return value => {
    const all = value.split(',').map(one => parse(one.trim()))
    const twice = all.find((one, index) => all.indexOf(one) !== index)
    if (twice !== undefined) throw new ShadowError('bad-input', `${twice} is given twice`)
    return all
  }
}

/** Parser: an amount of US dollars. */
function dollars(value: string): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value)
  throw new ShadowError('bad-input', `"${value}" is not an amount of US dollars such as 0.05`)
}

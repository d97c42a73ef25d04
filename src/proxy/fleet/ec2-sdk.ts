import type { Instance, RunInstancesCommandInput } from '@aws-sdk/client-ec2'
import { openEc2, sdkTags, tagFilters, tagsOf, unlessMissing } from '../../lib/ec2/client.ts'
import { Ec2Error } from '../../lib/ec2/failures.ts'
import type { Machine, MachineApi } from './ec2-api.ts'

type Options = {
  readonly region: string
  /** Another endpoint than that of the region, for tests. */
  readonly endpoint?: string | undefined
  /** Whether an order may still be sent. */
  readonly mayOrder: () => boolean
  readonly template?: string | undefined
  readonly image?: string | undefined
  readonly securityGroups?: readonly string[] | undefined
  readonly key?: string | undefined
  readonly profile?: string | undefined
}

/** The servers of EC2, by its SDK. */
export async function ec2Sdk({ region, endpoint, mayOrder, ...of }: Options): Promise<MachineApi> {
  const maySend = (command: string): void => {
    if (/^Describe/.test(command) || mayOrder()) return
    throw new Ec2Error('called-off', `${command} was not sent: another front may lead the fleet by now`)
  }
  const { sdk, send } = await openEc2({ region, endpoint, maySend })

  return {
    async run({ token, type, subnet, isSpot, userData, tags }) {
      // Nodes may detach and delete what has the tag of the cluster, so the disk of a machine has the others only.
      const { 'shadow:cluster': _, ...ofDisk } = tags
      const input: RunInstancesCommandInput = {
        ClientToken: token,
        MinCount: 1,
        MaxCount: 1,
        UserData: Buffer.from(userData).toString('base64'),
        TagSpecifications: [
          { ResourceType: 'instance', Tags: sdkTags(tags) },
          { ResourceType: 'volume', Tags: sdkTags(ofDisk) },
        ],
        // A server that powers itself off is stopped, with its disk.
        InstanceInitiatedShutdownBehavior: isSpot ? undefined : 'stop',
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, HttpEndpoint: 'enabled' },
        LaunchTemplate: of.template === undefined ? undefined : templateOf(of.template),
        ImageId: of.image,
        InstanceType: type as RunInstancesCommandInput['InstanceType'],
        SubnetId: subnet,
        SecurityGroupIds: of.securityGroups && [...of.securityGroups],
        KeyName: of.key,
        IamInstanceProfile: of.profile === undefined ? undefined : { Name: of.profile },
        InstanceMarketOptions: isSpot
          ? { MarketType: 'spot', SpotOptions: { SpotInstanceType: 'one-time' } }
          : undefined,
      }
      await send(new sdk.RunInstancesCommand(input))
    },

    async machines(tags) {
      const found: Machine[] = []
      let next: string | undefined
      do {
        const page = await send(
          new sdk.DescribeInstancesCommand({
            Filters: tagFilters(tags),
            MaxResults: 1_000,
            ...(next !== undefined && { NextToken: next }),
          }),
        )
        found.push(...(page.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []).map(machineOf))
        next = page.NextToken
      } while (next !== undefined)
      return found
    },

    async start(id) {
      await send(new sdk.StartInstancesCommand({ InstanceIds: [id] }))
    },

    async stop(id) {
      await send(new sdk.StopInstancesCommand({ InstanceIds: [id] }))
    },

    async terminate(id) {
      await send(new sdk.TerminateInstancesCommand({ InstanceIds: [id] }))
    },

    async zones(subnets) {
      if (subnets.length === 0) return new Map()
      const answer = await unlessMissing(send(new sdk.DescribeSubnetsCommand({ SubnetIds: [...subnets] })))
      const found = (answer?.Subnets ?? []).map(
        ({ SubnetId = '', AvailabilityZone = '' }) => [SubnetId, AvailabilityZone] as const,
      )
      return new Map(found)
    },
  }
}

function templateOf(text: string): RunInstancesCommandInput['LaunchTemplate'] {
  const [name = '', Version] = text.split(':', 2)
  return { ...(name.startsWith('lt-') ? { LaunchTemplateId: name } : { LaunchTemplateName: name }), Version }
}

const machineOf = (instance: Instance): Machine => ({
  id: instance.InstanceId ?? '',
  state: instance.State?.Name ?? 'pending',
  type: instance.InstanceType ?? '',
  subnet: instance.SubnetId,
  zone: instance.Placement?.AvailabilityZone ?? '',
  isSpot: instance.InstanceLifecycle === 'spot',
  tags: tagsOf(instance.Tags),
})

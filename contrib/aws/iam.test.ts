import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

type Statement = { readonly Action: string | readonly string[]; readonly Condition?: Readonly<Record<string, object>> }
const statementsOf = (policy: string): readonly Statement[] => JSON.parse(read(policy)).Statement
const actionsOf = ({ Action }: Statement): readonly string[] => (typeof Action === 'string' ? [Action] : Action)

/** Actions that belong to a call without being a command of their own. */
const WITH: Readonly<Record<string, readonly string[]>> = {
  CreateVolume: ['ec2:CreateTags'],
  CreateSnapshot: ['ec2:CreateTags'],
  // Tags of the new machine, and the role of its instance profile.
  RunInstances: ['ec2:CreateTags', 'iam:PassRole'],
}
const sorted = (names: Iterable<string>): readonly string[] => [...new Set(names)].sort()

for (const [policy, driver] of [
  ['contrib/aws/iam-node.json', 'src/nodeproxy/volumes/ebs-sdk.ts'],
  ['contrib/aws/iam-proxy.json', 'src/proxy/fleet/ec2-sdk.ts'],
] as const)
  describe(policy, () => {
    test(`allows what ${driver} calls, and nothing else`, () => {
      const commands = [...read(driver).matchAll(/\bsdk\.(\w+)Command\b/g)].map(([, command = '']) => command)
      assert.ok(commands.length > 3)
      const called = commands.flatMap(command => [`ec2:${command}`, ...(WITH[command] ?? [])])
      assert.deepEqual(sorted(statementsOf(policy).flatMap(actionsOf)), sorted(called))
    })

    test('allows no action that changes something, but on what carries the tag of the cluster, or makes it', () => {
      for (const statement of statementsOf(policy)) {
        const changes = actionsOf(statement).filter(action => !/^ec2:Describe/.test(action))
        // The parts that a new machine is made of are none of the fleet's.
        if (changes.length === 0 || JSON.stringify(statement).includes('MakeThemOfThese')) continue
        const condition = JSON.stringify(statement.Condition ?? {})
        assert.match(
          condition,
          /shadow:cluster":"CLUSTER"|shadow:node":"CLUSTER-\*"|iam:PassedToService/,
          changes.join(),
        )
      }
    })
  })

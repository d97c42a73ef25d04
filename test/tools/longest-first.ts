import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The files that take longest, longest first, by the last lines of a run of the whole suite. */
const LONGEST = [
  'test/restarts/node',
  'test/cluster/nodes',
  'test/cluster/pool',
  'test/isolation/answers-of-others',
  'test/docs/commands-1',
  'test/docs/commands-2',
  'test/docs/commands-3',
  'test/docs/commands-4',
  'test/fleet/fleet',
  'test/apps/peers',
  'test/cluster/joining',
  'test/restarts/up',
  'test/apps/apps',
  'test/cluster/deaths',
  'test/docker/runtime',
  'test/docker/contract',
  'test/front/smuggling',
  'test/fleet/chaos',
  'test/images/conformance',
  'test/promises/no-request-is-lost',
  'test/isolation/sockets',
  'test/deploy/deploy',
  'test/apps/images',
  'test/apps/bad-input',
  'test/storage/masters-s3',
  'test/front/smuggling-h2',
  'test/storage/s3',
  'test/fleet/front',
  'test/cli/cli',
  'test/install/package',
  'test/cluster/three-processes',
  'test/backups/backups',
  'test/isolation/disk',
  'src/testing/backups-wire',
  'src/testing/exports-wire',
].map(name => `${name}.test.ts`)

/**
 * Starts the files that take longest first, so that none of them is left to run alone at the end. A fresh clone has no times of its own to
 * sort by; vitest would take the largest files first.
 */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const group = ({ project }: TestSpecification): number => project.config.sequence.groupOrder
    return (await super.sort(files)).toSorted((a, b) => group(a) - group(b) || rank(a) - rank(b))
  }
}

/** The place in the list; all others have the same, after it. */
function rank({ moduleId }: TestSpecification): number {
  const place = LONGEST.findIndex(name => moduleId.endsWith(`/${name}`))
  return place === -1 ? LONGEST.length : place
}

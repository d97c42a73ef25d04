import { TASK_DEFAULTS } from '../../../model/task.ts'
import type { Values } from './definition.ts'

export type FieldName = keyof Values
type FieldSays = {
  readonly label: string
  readonly hint?: string
  readonly placeholder?: string
  readonly kind?: 'number' | 'lines'
}

/** What the form says of each field. */
export const FIELDS: Readonly<Record<FieldName, FieldSays>> = {
  name: { label: 'Name', hint: 'a-z, 0-9 and -; also the first label of its hostname', placeholder: 'blog' },
  image: { label: 'Image', hint: 'as docker pull takes it', placeholder: 'ghost:6' },
  command: {
    label: 'Command',
    hint: "in place of the image's own; words as in a shell, without its other signs",
    placeholder: 'node server.js',
  },
  port: { label: 'Port', hint: 'left out: the one that the image exposes, else 8000', kind: 'number' },
  'volume.size': { label: 'Size', hint: 'left out: no volume', placeholder: '1GiB' },
  'volume.path': { label: 'Path in the container', hint: `left out: ${TASK_DEFAULTS.volumePath}` },
  domains: {
    label: 'Hostnames',
    hint: 'one a line; left out: one that begins with its name',
    placeholder: 'blog.example.com',
    kind: 'lines',
  },
  env: { label: 'Environment', hint: 'NAME=value, one a line', placeholder: 'LANG=de', kind: 'lines' },
  secrets: {
    label: 'Secrets',
    hint: 'NAME=value, one a line; stored encrypted, and never shown again',
    placeholder: 'API_KEY=…',
    kind: 'lines',
  },
  'limits.memory': { label: 'Memory', hint: `left out: ${TASK_DEFAULTS.memory}`, placeholder: TASK_DEFAULTS.memory },
  'limits.cpus': {
    label: 'Processors',
    hint: `left out: ${TASK_DEFAULTS.cpus}`,
    placeholder: `${TASK_DEFAULTS.cpus}`,
    kind: 'number',
  },
  'sleep.idleAfter': {
    label: 'Sleeps after',
    hint: `without a request for so long, or never; left out: ${TASK_DEFAULTS.idleAfter}`,
    placeholder: TASK_DEFAULTS.idleAfter,
  },
}

export type Group = { readonly title: string; readonly fields: readonly FieldName[] }

/** The fields that are folded at first. */
export const GROUPS: readonly Group[] = [
  { title: 'Command and port', fields: ['command', 'port'] },
  { title: 'Volume', fields: ['volume.size', 'volume.path'] },
  { title: 'Environment and secrets', fields: ['env', 'secrets'] },
  { title: 'Hostnames', fields: ['domains'] },
  { title: 'Memory, processors and sleep', fields: ['limits.memory', 'limits.cpus', 'sleep.idleAfter'] },
]

import { TASK_DEFAULTS } from '../../../../model/task.ts'
import type { DefinitionField } from './definition-fields.ts'

/** How the app is run. */
export const RUN_FIELDS: readonly DefinitionField[] = [
  { name: 'image', label: 'Image', kind: 'text', flag: '--image', placeholder: 'ghcr.io/anna/blog:2' },
  {
    name: 'port',
    label: 'Port',
    hint: `Empty: the port that the image exposes, else ${TASK_DEFAULTS.port}.`,
    kind: 'number',
    flag: '--port',
  },
  {
    name: 'ready',
    label: 'Ready when',
    hint: 'port, http:/path, log:REGEX, healthcheck (of the image) or started.',
    kind: 'ready',
    flag: '--ready',
  },
  {
    name: 'startWithin',
    label: 'Start deadline',
    hint: 'How long a start may take.',
    kind: 'text',
    flag: '--start-within',
    placeholder: TASK_DEFAULTS.startWithin,
  },
  {
    name: 'deploy.sessions',
    label: 'Open sessions at a new release',
    kind: 'text',
    flag: '--sessions',
    none: 'move',
    choices: [
      ['', 'move to it (default)'],
      ['move', 'move to it'],
      ['stay', 'stay on their release'],
    ],
  },
  {
    name: 'command',
    label: 'Command',
    hint: 'In place of the command of the image, with quotes as in a shell. Empty: the command of the image.',
    kind: 'words',
  },
  {
    name: 'egress',
    label: 'May reach besides the internet',
    hint: 'One a line: private, host:5432, 10.0.0.5:5432. none: not even the internet. Empty: nothing else.',
    kind: 'lines',
    flag: '--egress',
    none: 'internet',
  },
]

/** What an instance may use. */
export const LIMIT_FIELDS: readonly DefinitionField[] = [
  {
    name: 'limits.memory',
    label: 'Memory',
    kind: 'text',
    flag: '--memory',
    placeholder: TASK_DEFAULTS.memory,
  },
  {
    name: 'limits.reserve',
    label: 'Free memory to wake',
    hint: 'Empty: as much as its memory.',
    kind: 'text',
    flag: '--reserve',
  },
  { name: 'limits.cpus', label: 'Processors', kind: 'number', flag: '--cpus', placeholder: String(TASK_DEFAULTS.cpus) },
  {
    name: 'limits.pids',
    label: 'Processes',
    kind: 'number',
    flag: '--pids',
    placeholder: String(TASK_DEFAULTS.pids),
  },
  {
    name: 'limits.disk',
    label: 'Disk outside of its volume',
    hint: `Empty: ${TASK_DEFAULTS.disk}.`,
    kind: 'text',
    flag: '--disk',
  },
  {
    name: 'limits.shm',
    label: 'Size of /dev/shm',
    hint: `Counts as memory. Empty: ${TASK_DEFAULTS.shm}.`,
    kind: 'text',
    flag: '--shm',
  },
]

/** When it sleeps. */
export const SLEEP_FIELDS: readonly DefinitionField[] = [
  {
    name: 'sleep.idleAfter',
    label: 'Sleeps after',
    hint: 'After the last request: 90s, 5m, never.',
    kind: 'text',
    flag: '--idle-after',
    placeholder: TASK_DEFAULTS.idleAfter,
  },
  {
    name: 'sleep.webSockets',
    label: 'An open WebSocket',
    kind: 'text',
    flag: '--ws',
    choices: [
      ['hold', 'keeps it awake'],
      ['wake', 'wakes it only'],
      ['ignore', 'does neither'],
    ],
  },
  {
    name: 'sleep.wakes',
    label: 'Wakes a minute',
    hint: `Most wakes by requests. Empty: ${TASK_DEFAULTS.wakes}.`,
    kind: 'number',
    flag: '--wakes',
  },
  {
    name: 'sleep.freezeAfter',
    label: 'Frozen after',
    hint: 'It stops where it is and keeps its memory until it sleeps. Empty: the setting of its node.',
    kind: 'text',
    flag: '--freeze-after',
    none: 'default',
  },
  {
    name: 'sleep.suspendAfter',
    label: 'Suspended after',
    hint: 'The memory of the frozen app goes to swap. Empty: the setting of its node.',
    kind: 'text',
    flag: '--suspend-after',
    none: 'default',
  },
  {
    name: 'sleep.keep',
    label: 'Lowest tier',
    hint: 'How far it steps down for want of use. It may have to give way sooner than that.',
    kind: 'text',
    flag: '--keep',
    none: 'default',
    choices: [
      ['', 'the setting of its node'],
      ['asleep', 'it sleeps'],
      ['frozen', 'it keeps its memory'],
      ['suspended', 'its memory goes to swap'],
    ],
  },
  {
    name: 'sleep.detachAfter',
    label: 'Detached after',
    hint: 'How long a disk of a cloud stays attached after it fell asleep. Empty: the setting of its node.',
    kind: 'text',
    flag: '--detach-after',
    none: 'default',
  },
  {
    name: 'sleep.grace',
    label: 'From SIGTERM to SIGKILL',
    kind: 'text',
    flag: '--grace',
    placeholder: TASK_DEFAULTS.grace,
  },
  {
    name: 'sleep.drain',
    label: 'Requests in flight may take',
    hint: 'When it is stopped while in use. Empty: the setting of its node.',
    kind: 'text',
    flag: '--drain',
  },
  {
    name: 'sleep.cpu',
    label: 'At work above',
    hint: 'Percent of its processors. Empty: they do not count.',
    kind: 'number',
    flag: '--sleep-cpu',
    none: 'none',
  },
  {
    name: 'sleep.idleCheck',
    label: 'Idle check',
    hint: 'Asked before it sleeps: http:/path, or command: and a command. Empty: it is not asked.',
    kind: 'check',
    flag: '--idle-check',
    none: 'none',
  },
  {
    name: 'sleep.dryRun',
    label: 'Dry run',
    kind: 'switch',
    flag: '--sleep-dry-run',
    none: 'default',
    choices: [
      ['', 'as its node says'],
      ['on', 'it does not sleep; its log says when it would'],
      ['off', 'it sleeps'],
    ],
  },
]

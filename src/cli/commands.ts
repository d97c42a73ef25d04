import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** A file of `commands/` exports this: it adds the options of its verb and the action. */
type Define = (command: Command, terminal: Terminal) => void

export type Verb = { readonly says: string; readonly load: () => Promise<{ define: Define }> }

/** Every verb. Only the file of the verb that is called is loaded. */
export const verbs: Readonly<Record<string, Verb>> = {
  up: { says: 'run everything on this machine: master, nodeproxy and proxy', load: () => import('./commands/up.ts') },
  init: { says: 'write a shadow.toml for a folder, by looking at it', load: () => import('./commands/init.ts') },
  deploy: {
    says: 'run the app of a folder with a shadow.toml: make it, or make its next revision',
    load: () => import('./commands/deploy.ts'),
  },
  register: { says: 'register an app', load: () => import('./commands/register.ts') },
  update: { says: 'change an app, which makes its next revision', load: () => import('./commands/update.ts') },
  access: { says: 'show or set who may use an app, and how much', load: () => import('./commands/access.ts') },
  'wake-rules': {
    says: 'show or set which requests do not wake an app',
    load: () => import('./commands/wake-rules.ts'),
  },
  page: {
    says: 'pages that visitors of an app see while it is woken, or cannot answer: set, unset, ls',
    load: () => import('./commands/page.ts'),
  },
  scale: {
    says: 'show or set how many instances an app has, by its load',
    load: () => import('./commands/scale.ts'),
  },
  schedule: {
    says: 'what happens to an app at given times: add, ls, runs, rm',
    load: () => import('./commands/schedule.ts'),
  },
  attach: {
    says: 'let an app use others: they wake before it, stay awake with it, and are reached by their names',
    load: () => import('./commands/attach.ts'),
  },
  detach: { says: 'let an app use others no more', load: () => import('./commands/detach.ts') },
  remove: { says: 'remove an app', load: () => import('./commands/remove.ts') },
  ps: { says: 'list all apps and their states', load: () => import('./commands/ps.ts') },
  status: { says: 'show everything about one app', load: () => import('./commands/status.ts') },
  open: { says: 'open an app in the browser, which wakes it', load: () => import('./commands/open.ts') },
  dashboard: {
    says: 'open the dashboard of the masters in the browser, signed in by a one-time link',
    load: () => import('./commands/dashboard.ts'),
  },
  why: {
    says: 'say what woke an app, what keeps it awake, and when it sleeps',
    load: () => import('./commands/why.ts'),
  },
  logs: { says: 'show what an app wrote and what happened to it', load: () => import('./commands/logs.ts') },
  events: {
    says: 'show what happened to an app: wakes, sleeps, crashes, releases, snapshots',
    load: () => import('./commands/events.ts'),
  },
  exec: {
    says: 'run a command in the container of an app, or open a shell there',
    load: () => import('./commands/exec.ts'),
  },
  console: {
    says: 'run a command or a shell in a container of its own, with the image and variables of an app',
    load: () => import('./commands/console.ts'),
  },
  'port-forward': {
    says: 'reach a port of the container of an app from this machine',
    load: () => import('./commands/port-forward.ts'),
  },
  domains: {
    says: 'hostnames of an app: add, check, rm',
    load: () => import('./commands/domains.ts'),
  },
  egress: {
    says: 'what an app may reach: ls, add, rm',
    load: () => import('./commands/egress.ts'),
  },
  port: {
    says: 'TCP ports of the fronts whose connections wake an app: add, ls, rm',
    load: () => import('./commands/port.ts'),
  },
  stats: {
    says: 'show what awake apps use: processor, memory, network, disk',
    load: () => import('./commands/stats.ts'),
  },
  usage: {
    says: 'show what apps have used in a month, beside what they would have used without sleep',
    load: () => import('./commands/usage.ts'),
  },
  budget: {
    says: 'what an app or an owner may use in a month: set, ls, rm',
    load: () => import('./commands/budget.ts'),
  },
  webhook: {
    says: 'URLs that are told when something goes wrong: add, ls, rm, test',
    load: () => import('./commands/webhook.ts'),
  },
  wake: { says: 'wake an app and wait until it is ready', load: () => import('./commands/wake.ts') },
  freeze: { says: 'stop an app where it is until the next request', load: () => import('./commands/freeze.ts') },
  suspend: {
    says: 'freeze an app, and move its memory to the swap of its machine',
    load: () => import('./commands/suspend.ts'),
  },
  park: {
    says: 'put an app to sleep, and have a container wait for its next wake',
    load: () => import('./commands/park.ts'),
  },
  sleep: { says: 'put an app to sleep now', load: () => import('./commands/sleep.ts') },
  template: {
    says: 'templates, which sessions are made from: create, set, ls',
    load: () => import('./commands/template.ts'),
  },
  session: {
    says: 'sessions of templates, by key: connect, ls, show, end, revoke, logs',
    load: () => import('./commands/session.ts'),
  },
  mcp: {
    says: 'serve sandboxes to AI agents as tools: an MCP server over stdin and stdout',
    load: () => import('./commands/mcp.ts'),
  },
  pause: { says: 'keep an app from being woken, until it is resumed', load: () => import('./commands/pause.ts') },
  resume: { says: 'let a paused app be woken again', load: () => import('./commands/resume.ts') },
  move: {
    says: 'move an app with its volume to another node',
    load: () => import('./commands/move.ts'),
  },
  export: {
    says: 'write an app with its secrets and its data to an archive',
    load: () => import('./commands/export.ts'),
  },
  import: { says: 'make an app from such an archive', load: () => import('./commands/import.ts') },
  cp: { says: 'copy files into an app, or out of it', load: () => import('./commands/cp.ts') },
  fork: { says: 'make an app like another one, with its data', load: () => import('./commands/fork.ts') },
  backup: {
    says: 'back up the volume of an app now; ls, policy, verify, prune, rm, key',
    load: () => import('./commands/backup.ts'),
  },
  backups: { says: 'list the backups of an app', load: () => import('./commands/backups.ts') },
  restore: { says: 'restore a backup of an app', load: () => import('./commands/restore.ts') },
  images: { says: 'images that were pushed to the masters: ls, rm, prune', load: () => import('./commands/images.ts') },
  releases: { says: 'list the releases of an app', load: () => import('./commands/releases.ts') },
  rollback: { says: 'go back to an earlier release of an app', load: () => import('./commands/rollback.ts') },
  diff: { says: 'show what differs between two releases', load: () => import('./commands/diff.ts') },
  secrets: {
    says: 'secrets of an app: set, import, ls, unset, apply, discard',
    load: () => import('./commands/secrets.ts'),
  },
  volume: {
    says: 'volumes: ls, snapshot, snapshots, rm-snapshot, restore, fork, grow, rm',
    load: () => import('./commands/volume.ts'),
  },
  ssh: {
    says: 'open a shell in the container of an app, or run a command there, by OpenSSH',
    load: () => import('./commands/ssh.ts'),
  },
  keys: { says: 'public keys that open apps by SSH: add, ls, rm', load: () => import('./commands/keys.ts') },
  token: { says: 'tokens: create, ls, rm', load: () => import('./commands/token.ts') },
  node: { says: 'nodes: ls, cordon, uncordon, drain, rm, token, join', load: () => import('./commands/node.ts') },
  cluster: {
    says: 'the cluster of several machines: init, show, ca, members, rm',
    load: () => import('./commands/cluster.ts'),
  },
  fleet: {
    says: 'servers that fronts start and stop: ls, plan, allow, deny',
    load: () => import('./commands/fleet.ts'),
  },
  context: { says: 'masters that this CLI knows: add, ls, use, rm', load: () => import('./commands/context.ts') },
  master: { says: 'run a master', load: () => import('./commands/master.ts') },
  nodeproxy: { says: 'run the node proxy of this machine', load: () => import('./commands/nodeproxy.ts') },
  proxy: { says: 'run a front; token, join', load: () => import('./commands/proxy.ts') },
  doctor: {
    says: 'find what is wrong with this machine and this cluster, and say how to mend it',
    load: () => import('./commands/doctor.ts'),
  },
  completion: {
    says: 'print the script that lets a shell complete commands, flags and names',
    load: () => import('./commands/completion.ts'),
  },
  help: { says: 'help for a command, or: help settings, help errors', load: () => import('./commands/help.ts') },
}

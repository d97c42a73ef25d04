import type { Command } from 'commander'
import type { Terminal } from './terminal.ts'

/** A file of `commands/` exports this: it adds the options of its verb and the action. */
type Define = (command: Command, terminal: Terminal) => void

export type Verb = { readonly says: string; readonly load: () => Promise<{ define: Define }> }

/** Every verb. Only the file of the verb that is called is loaded. */
export const verbs: Readonly<Record<string, Verb>> = {
  up: { says: 'run everything on this machine: master, nodeproxy and proxy', load: () => import('./commands/up.ts') },
  register: { says: 'register an app', load: () => import('./commands/register.ts') },
  update: { says: 'change an app, which makes its next revision', load: () => import('./commands/update.ts') },
  access: { says: 'show or set who may use an app, and how much', load: () => import('./commands/access.ts') },
  remove: { says: 'remove an app', load: () => import('./commands/remove.ts') },
  ps: { says: 'list all apps and their states', load: () => import('./commands/ps.ts') },
  status: { says: 'show everything about one app', load: () => import('./commands/status.ts') },
  why: {
    says: 'say what woke an app, what keeps it awake, and when it sleeps',
    load: () => import('./commands/why.ts'),
  },
  logs: { says: 'show what an app wrote and what happened to it', load: () => import('./commands/logs.ts') },
  wake: { says: 'wake an app and wait until it is ready', load: () => import('./commands/wake.ts') },
  sleep: { says: 'put an app to sleep now', load: () => import('./commands/sleep.ts') },
  move: {
    says: 'move an app with its volume to another node',
    load: () => import('./commands/move.ts'),
  },
  tasks: { says: 'list the revisions of an app', load: () => import('./commands/tasks.ts') },
  volume: { says: 'volumes: ls, rm', load: () => import('./commands/volume.ts') },
  token: { says: 'tokens: create, ls, rm', load: () => import('./commands/token.ts') },
  node: { says: 'nodes: ls, cordon, uncordon, drain, rm, token, join', load: () => import('./commands/node.ts') },
  cluster: {
    says: 'the cluster of several machines: init, show, ca, members, rm',
    load: () => import('./commands/cluster.ts'),
  },
  context: { says: 'masters that this CLI knows: add, ls, use, rm', load: () => import('./commands/context.ts') },
  master: { says: 'run a master', load: () => import('./commands/master.ts') },
  nodeproxy: { says: 'run the node proxy of this machine', load: () => import('./commands/nodeproxy.ts') },
  proxy: { says: 'run a front; token, join', load: () => import('./commands/proxy.ts') },
  help: { says: 'help for a command, or: help settings, help errors', load: () => import('./commands/help.ts') },
}

import { ShadowError } from '../../../src/lib/errors.ts'
import { noLog } from '../../../src/lib/log.ts'
import { readSettings } from '../../../src/lib/settings.ts'
import type { App, Node } from '../../../src/model/app.ts'
import { appName } from '../../../src/model/names.ts'
import { NO_PLACE, routeOf } from '../../../src/model/route.ts'
import { nodeproxySettings } from '../../../src/nodeproxy/config.ts'
import { startNodeproxy } from '../../../src/nodeproxy/main.ts'
import { proxySettings } from '../../../src/proxy/config.ts'
import { httpConnector } from '../../../src/proxy/http-connector.ts'
import { startProxy } from '../../../src/proxy/main.ts'
import type { NodeConnector } from '../../../src/proxy/node-connector.ts'
import { putPair, selfSigned } from '../../../src/testing/certificates.ts'
import { anApp, aTask } from '../../../src/testing/fake-app.ts'
import { FakeLogs } from '../../../src/testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../../../src/testing/fake-master.ts'
import { FakeRuntime } from '../../../src/testing/fake-runtime.ts'
import { FakeVolumes } from '../../../src/testing/fake-volumes.ts'
import { A_PERMIT, aNode, FakeConnector } from '../../../src/testing/front.ts'
import { aFolder } from './folder.ts'
import type { Front } from './front.ts'

const APP_PAIR = selfSigned('app')

/** A complete front; the back end is its one app. */
export const oneHop = (backend: string): Promise<Front> =>
  before(backend, async ({ nodes }) => {
    nodes.push(aNode('n1', '127.0.0.1:1'))
    return new FakeConnector(() => ({ address: backend }))
  })

/** A complete front and a node; the back end is the app's container. */
export const twoHops = (backend: string): Promise<Front> =>
  before(backend, async ({ nodes, master, started }) => {
    const data = await aFolder(started)
    const flags = { listen: '127.0.0.1:0', name: 'n1', data, master, token: FAKE_TOKEN }
    const runtime = new FakeRuntime()
    runtime.ip = '127.0.0.1'
    const volumes = new FakeVolumes()
    const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
    const node = started.use(await startNodeproxy(readSettings(nodeproxySettings, {}, flags), { log: noLog, drivers }))
    nodes.push({ ...aNode('n1', node.address), key: node.keys.traffic })
    return httpConnector()
  })

type Environment = { readonly nodes: Node[]; readonly master: string; readonly started: AsyncDisposableStack }

/**
 * Opens a front that calls its nodes through this connector. `saw` lists the requests for which the front held the app, which it does
 * before it forwards.
 */
async function before(
  backend: string,
  connectorOf: (environment: Environment) => Promise<NodeConnector>,
): Promise<Front> {
  await using started = new AsyncDisposableStack()
  const nodes: Node[] = []
  const app = appAt(backend)
  const { url: master } = started.use(
    await fakeMaster({
      getHost({ params }) {
        if (params['hostname'] !== 'app') throw new ShadowError('host-unknown', `no app ${params['hostname']}`)
        return routeOf(app, NO_PLACE, A_PERMIT)
      },
      getApp: () => app,
      listNodes: () => ({ items: nodes }),
      announceNode: () => ({ cordon: null }),
      changes: () => '',
    }),
  )
  const saw: string[] = []
  const connector = keepingWhat(await connectorOf({ nodes, master, started }), saw)
  const certificates = await aFolder(started)
  putPair(certificates, 'default', APP_PAIR)
  const env = {
    SHADOW_MASTER: master,
    SHADOW_TOKEN: FAKE_TOKEN,
    SHADOW_DATA: await aFolder(started),
    SHADOW_LISTEN: '127.0.0.1:0',
    SHADOW_TLS_LISTEN: '127.0.0.1:0',
    SHADOW_TLS_CERTIFICATES: certificates,
    SHADOW_DRAIN_WITHIN: '100ms',
  }
  const front = started.use(await startProxy(readSettings(proxySettings, env), { log: noLog, connector }))
  const all = started.move()
  return { port: front.port, tlsPort: front.tls?.port, saw: () => saw, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

const keepingWhat = (connector: NodeConnector, saw: string[]): NodeConnector => ({
  hold(app, node, request, cancellation) {
    saw.push(request.what.replace(/ from [^ ]*$/, ''))
    return connector.hold(app, node, request, cancellation)
  },
  follow: (app, node, signal) => connector.follow(app, node, signal),
  keep: (...keeping) => connector.keep(...keeping),
  connect: (...asked) => connector.connect(...asked),
  loads: (node, signal) => connector.loads(node, signal),
  check: (node, signal) => connector.check(node, signal),
})

function appAt(backend: string): App {
  const { volume: _none, ...task } = aTask({ app: appName('app'), port: Number(backend.split(':')[1]) })
  return anApp(task)
}

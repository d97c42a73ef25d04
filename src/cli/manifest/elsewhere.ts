/** Fields of fly.toml, Kamal's deploy.yml, app.json and compose files, and what they are called in shadow.toml. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  name: 'app',
  service: 'app',
  hosts: 'domains',
  host: 'domains',
  hostnames: 'domains',
  environment: 'env',
  vars: 'env',
  cmd: 'command',
  start: 'command',
  processes: 'command',
  internal_port: 'port',
  http_service: 'port, [checks] and [concurrency]',
  services: 'port, [checks] and [concurrency]',
  mounts: '[volume]',
  volumes: '[volume]',
  storage: '[volume]',
  healthcheck: '[checks]',
  health: '[checks]',
  resources: '[limits]',
  vm: '[limits]',
  replicas: '[scale]',
  instances: '[scale]',
  soft_limit: 'soft',
  hard_limit: 'hard',
  destination: 'path',
  ttl: 'idleAfter',
  timeout: 'startWithin',
}

/** The end of a message about a field that has another name here; undefined if it is not one of those. */
export function meantElsewhere(field: string): string | undefined {
  const last = field.slice(field.lastIndexOf('.') + 1)
  return Object.hasOwn(ELSEWHERE, last) ? `; here it is ${ELSEWHERE[last]}` : undefined
}

import type { Register } from '../../src/api/schemas.ts'
import type { Browser } from './browser.ts'

/** A program that nobody here wrote, as an app. */
export type RealApp = {
  readonly name: string
  /** What it is, and where it comes from. */
  readonly says: string
  readonly definition: Omit<Partial<Register>, 'name'>
  /** Runs once, before the first write. */
  readonly setUp?: (use: Use) => Promise<void>
  /** Stores the word. */
  readonly write: (use: Use, word: string) => Promise<void>
  /** All words that it has, in any text. */
  readonly read: (use: Use) => Promise<string>
}

/** How an app is used: by its hostname, or by a command inside of its container, which wakes it too. */
export type Use = { readonly browser: Browser; exec(...command: string[]): Promise<string> }

const shell = (script: string): string[] => ['sh', '-euc', script]
const PASSWORD = 'correct-horse'

const nodeRed: RealApp = {
  name: 'node-red',
  says: 'Node-RED 4.1, by npm; flows in files',
  definition: {
    command: ['node', '/opt/node-red/node_modules/node-red/red.js', '--userDir', '/data', '--port', '8000'],
    // Its port is open before its flows are loaded.
    ready: { kind: 'log', line: 'Started flows' },
    volume: { size: '256MiB', path: '/data' },
  },
  async write({ browser }, word) {
    const { body } = await browser.get('/flows')
    await browser.json('/flows', [...JSON.parse(body), { id: word, type: 'tab', label: word }])
  },
  read: async ({ browser }) => (await browser.get('/flows')).body,
}

const flaskr: RealApp = {
  name: 'flaskr',
  says: 'the blog of Flask’s own source, 2.2.2, with Debian’s Flask and gunicorn; SQLite',
  definition: {
    command: shell(
      'cd /opt/flaskr; test -e instance/flaskr.sqlite || python3 -m flask --app flaskr init-db; exec gunicorn --bind 0.0.0.0:8000 "flaskr:create_app()"',
    ),
    volume: { size: '64MiB', path: '/opt/flaskr/instance' },
  },
  async setUp({ browser }) {
    await browser.form('/auth/register', { username: 'anna', password: PASSWORD })
    await browser.form('/auth/login', { username: 'anna', password: PASSWORD })
  },
  write: async ({ browser }, word) => {
    await browser.form('/create', { title: word, body: 'written between two sleeps' })
  },
  read: async ({ browser }) => (await browser.get('/')).body,
}

const django: RealApp = {
  name: 'django',
  says: 'Django’s admin site, 3.2, of Debian, with gunicorn; SQLite',
  definition: {
    command: shell(
      'cd /opt/django; python3 manage.py migrate --no-input; python3 manage.py createsuperuser --no-input --username anna --email a@example.com || true; exec gunicorn --bind 0.0.0.0:8000 mysite.wsgi',
    ),
    env: { DJANGO_SUPERUSER_PASSWORD: PASSWORD },
    volume: { size: '64MiB', path: '/data' },
  },
  async setUp({ browser }) {
    await browser.get('/admin/login/')
    const csrfmiddlewaretoken = browser.cookie('csrftoken')
    await browser.form('/admin/login/', { csrfmiddlewaretoken, username: 'anna', password: PASSWORD })
  },
  async write({ browser }, word) {
    const csrfmiddlewaretoken = browser.cookie('csrftoken')
    await browser.form('/admin/auth/group/add/', { csrfmiddlewaretoken, name: word, _save: 'Save' })
  },
  read: async ({ browser }) => (await browser.get('/admin/auth/group/')).body,
}

const postgres: RealApp = {
  name: 'postgres',
  says: 'PostgreSQL 15, of Debian',
  definition: {
    command: shell(`
      install -d -m 700 -o postgres -g postgres /data/db /var/run/postgresql
      test -e /data/db/PG_VERSION || setpriv --reuid postgres --regid postgres --clear-groups initdb --auth trust /data/db
      exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D /data/db -p 8000 -h '*'`),
    volume: { size: '256MiB', path: '/data' },
    sleep: { grace: '30s' },
  },
  async setUp({ exec }) {
    await exec(...sql('create table words (word text primary key)'))
  },
  write: async ({ exec }, word) => {
    await exec(...sql(`insert into words values ('${word}')`))
  },
  read: ({ exec }) => exec(...sql('select word from words')),
}

const sql = (statement: string): string[] => [
  'psql',
  '-p',
  '8000',
  '-U',
  'postgres',
  '-h',
  '127.0.0.1',
  '-Atc',
  statement,
]

const wiremock: RealApp = {
  name: 'wiremock',
  says: 'WireMock 3.9, a Java server, by Maven; JSON files',
  definition: {
    command: ['java', '-jar', '/opt/wiremock/wiremock.jar', '--port', '8000', '--root-dir', '/data'],
    volume: { size: '64MiB', path: '/data' },
  },
  write: async ({ browser }, word) => {
    const mapping = {
      name: word,
      persistent: true,
      request: { url: `/${word}` },
      response: { status: 200, body: word },
    }
    await browser.json('/__admin/mappings', mapping)
  },
  read: async ({ browser }) => (await browser.get('/__admin/mappings')).body,
}

const radicale: RealApp = {
  name: 'radicale',
  says: 'Radicale 3.1, a calendar server of Debian; files',
  definition: {
    command: [
      'radicale',
      ...['--config', '', '--server-hosts', '0.0.0.0:8000', '--auth-type', 'none'],
      ...['--rights-type', 'authenticated', '--storage-filesystem-folder', '/data'],
    ],
    volume: { size: '64MiB', path: '/data' },
  },
  async setUp({ browser }) {
    await browser.send('MKCALENDAR', '/anna/days/', { headers: BASIC })
  },
  write: async ({ browser }, word) => {
    const event = [
      'BEGIN:VEVENT',
      `UID:${word}`,
      `SUMMARY:${word}`,
      'DTSTAMP:20260101T000000Z',
      'DTSTART:20260101T000000Z',
      'END:VEVENT',
    ]
    const body = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//shadow//bench//', ...event, 'END:VCALENDAR', ''].join(
      '\r\n',
    )
    await browser.send('PUT', `/anna/days/${word}.ics`, {
      headers: { ...BASIC, 'content-type': 'text/calendar' },
      body,
    })
  },
  read: async ({ browser }) => (await browser.send('GET', '/anna/days/', { headers: BASIC })).body,
}

/** Without a check of passwords, the name alone counts. */
const BASIC = { authorization: `Basic ${Buffer.from('anna:').toString('base64')}` }

export const realApps: readonly RealApp[] = [nodeRed, flaskr, django, postgres, wiremock, radicale]

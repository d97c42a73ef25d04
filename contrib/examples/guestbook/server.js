// A guest book with Express and SQLite: GET / shows it, POST / adds a line. Its data is on the volume.
import { DatabaseSync } from 'node:sqlite'
import express from 'express'

const GREETING = 'Guests of this house'

const data = new DatabaseSync(`${process.env.DATA ?? '/data'}/guests.db`)
data.exec('PRAGMA journal_mode = WAL')
data.exec('CREATE TABLE IF NOT EXISTS guests (id INTEGER PRIMARY KEY, name TEXT NOT NULL)')
const add = data.prepare('INSERT INTO guests (name) VALUES (?)')
const all = data.prepare('SELECT name FROM guests ORDER BY id DESC LIMIT 100')

const app = express()
app.use(express.text({ type: () => true, limit: '1kb' }))
app.get('/', (_request, response) => {
  response.type('text').send(
    `${GREETING}:\n${all
      .all()
      .map(({ name }) => `- ${name}\n`)
      .join('')}`,
  )
})
app.get('/healthz', (_request, response) => response.type('text').send('well\n'))
app.post('/', (request, response) => {
  add.run(String(request.body))
  response.status(201).type('text').send('thank you\n')
})
const server = app.listen(Number(process.env.PORT ?? 8000), '0.0.0.0')

// The last requests are answered before the database is closed.
process.on('SIGTERM', () => server.close(() => process.exit(0)))

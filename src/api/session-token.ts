import { hash } from 'node:crypto'

/** What is stored of a token: its SHA-256. */
export const tokenHash = (token: string): Buffer => hash('sha256', token, 'buffer')

const PATHS = {
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z',
  apps: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  nodes: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01',
  usage: 'M5 20V11M12 20V4M19 20v-6',
  access: 'M14.5 9.5a4.5 4.5 0 1 1-2.2 3.9M13 13l-8 7M7 18l2 2M15 5.5a4 4 0 1 1 0 8',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20 20',
  theme: 'M12 3a9 9 0 1 0 0 18ZM12 3a9 9 0 0 1 0 18',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  plus: 'M12 5v14M5 12h14',
  open: 'M14 4h6v6M20 4l-9 9M18 14v6H4V6h6',
  close: 'M6 6l12 12M18 6 6 18',
  wake: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  sleep: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z',
  crash: 'M13 3 5 13.5h6L10 21l9-11.5h-6.5Z',
  problem: 'M12 4 3 19.5h18ZM12 10v4.5M12 17h.01',
  deploy: 'M12 20V5M6 11l6-6 6 6',
  rollback: 'M9 6 4 11l5 5M4 11h10a6 6 0 0 1 6 6v1',
  update: 'M4 20l1-4.5L16 4.5l3.5 3.5L8.5 19ZM14 6.5l3.5 3.5',
  snapshot: 'M4 8h4l1.5-2.5h5L16 8h4v11H4ZM12 16.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4Z',
  backup: 'M4 5h16v4H4ZM5.5 9v10h13V9M10 13h4',
  restore: 'M4 5v5h5M4.6 10a8 8 0 1 1-.2 4.5M12 8v4.5l3 2',
  move: 'M4 12h15M13 6l6 6-6 6',
} as const

export type IconName = keyof typeof PATHS

/** A drawing beside a word; screen readers do not read it. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
      <path
        d={PATHS[name]}
        fill="none"
        stroke="currentColor"
        stroke-width="1.7"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  )
}

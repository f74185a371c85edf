// The peer of a paid rental: pgbench's TPC-B on the same PostgreSQL, its statements prepared.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'

/** pgbench as Debian and others install it; undefined when it is not here. */
export function findPgbench(): string | undefined {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  const places = [...versions.map((version) => `${root}/${version}/bin/pgbench`), '/usr/bin/pgbench', '/usr/local/bin/pgbench']
  return places.find((place) => existsSync(place)) ?? (spawnSync('pgbench', ['--version']).status === 0 ? 'pgbench' : undefined)
}

/** One row of pgbench_branches per connection at least, as its manual asks: otherwise the clients wait for each other's rows. */
const scale = 20

/** Makes pgbench's tables in a database; `run` is one run over `connections`, answering its transactions and the seconds they took. */
export async function openTpcB(program: string, databaseUrl: string, connections: number) {
  await pgbench(program, databaseUrl, ['--initialize', '--init-steps', 'dtGvp', '--scale', String(scale), '--quiet'])
  return {
    scale,
    async run(seconds: number): Promise<{ count: number; seconds: number }> {
      const how = ['--no-vacuum', '--protocol', 'prepared', '--jobs', '2', '--client', String(connections), '--time', String(seconds)]
      const output = await pgbench(program, databaseUrl, how)
      const count = Number(/number of transactions actually processed: (\d+)/.exec(output)?.[1])
      // Without the time that connecting took.
      const perSecond = Number(/tps = ([\d.]+) \(without initial connection time\)/.exec(output)?.[1])
      if (!(count > 0 && perSecond > 0)) throw new Error(`pgbench said something unexpected:\n${output}`)
      return { count, seconds: count / perSecond }
    },
  }
}

function pgbench(program: string, databaseUrl: string, args: string[]): Promise<string> {
  const at = new URL(databaseUrl)
  const env = {
    NODE_ENV: 'production' as const,
    PATH: process.env.PATH,
    PGHOST: at.hostname,
    PGPORT: at.port,
    PGUSER: decodeURIComponent(at.username),
    PGPASSWORD: decodeURIComponent(at.password),
    PGDATABASE: at.pathname.slice(1),
    LC_ALL: 'C',
  }
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`pgbench ended with ${code}: ${output}`))))
  })
}

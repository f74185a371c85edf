// The arrows of the house: who may import what. Type-only imports count too. `npm run check` holds them.

const steps = [
  'auth',
  'idempotency',
  'nodes',
  'offers',
  'rentals',
  'ledger',
  'payments',
  'provisioning',
  'metering',
  'settlement',
  'disputes',
  'reserves',
  'audit',
]
const house = '^(lib|api|gateway|clock|app|components|scripts|__tests__|bench|db)/|^server\\.ts$'
const test = '\\.test\\.tsx?$|^__tests__/|/(open-test-chain|test-market)\\.ts$'
const chainPackages = '(^|node_modules/)@(solana|solana-program|x402)/'

/** Water runs downhill: a step may import the steps before it in the story of a rental, never one after. */
const downhill = steps.slice(0, -1).map((step, index) => ({
  name: `lib-${step}-knows-only-earlier-steps`,
  severity: 'error',
  from: { path: `^lib/${step}/`, pathNot: test },
  to: { path: `^lib/(${steps.slice(index + 1).join('|')})/` },
}))

export default {
  forbidden: [
    {
      name: 'protocol-knows-only-zod',
      comment: 'The words that both ends share must run anywhere.',
      severity: 'error',
      from: { path: '^packages/protocol/', pathNot: test },
      to: { pathNot: '^packages/protocol/|(^|node_modules/)zod(/|$)' },
    },
    {
      name: 'rust-lib-knows-only-its-own-bytes',
      comment: 'The check of a statement must run anywhere, and must not change because something else does.',
      severity: 'error',
      from: { path: '^rust-lib/', pathNot: test },
      to: { pathNot: '^rust-lib/|(^|node_modules/)@noble/|^node:|^(crypto|fs|path|url|worker_threads)$' },
    },
    {
      name: 'packages-know-nothing-of-the-house',
      comment: 'Packages are installed on machines that must never have the server, its database or its pages.',
      severity: 'error',
      from: { path: '^packages/', pathNot: test },
      to: { path: `${house}|(^|node_modules/)(next|react|react-dom|kysely|pg|hono)(/|$)` },
    },
    {
      name: 'sdk-knows-only-protocol',
      severity: 'error',
      from: { path: '^packages/sdk/', pathNot: test },
      to: { path: '^packages/(agent|localnet)/' },
    },
    {
      name: 'agent-knows-only-protocol-and-sdk',
      severity: 'error',
      from: { path: '^packages/agent/', pathNot: test },
      to: { path: '^packages/localnet/' },
    },
    {
      name: 'localnet-stands-alone',
      severity: 'error',
      from: { path: '^packages/localnet/', pathNot: test },
      to: { path: '^packages/(protocol|sdk|agent)/' },
    },
    {
      name: 'test-money-never-in-the-house',
      comment: 'Only scripts, benchmarks and tests may start the local chain.',
      severity: 'error',
      from: { path: '^(lib|api|gateway|clock|app|components)/|^server\\.ts$', pathNot: test },
      to: { path: '^packages/localnet/' },
    },
    {
      name: 'lib-knows-no-door-and-no-client',
      severity: 'error',
      from: { path: '^lib/', pathNot: test },
      to: { path: '^(app|components|api|gateway|clock|scripts)/|^server\\.ts$|^packages/(sdk|agent|localnet)/' },
    },
    ...downhill,
    {
      name: 'the-ground-knows-no-step',
      severity: 'error',
      from: { path: '^lib/(db/|env|clock|crash|wake)', pathNot: test },
      to: { path: `^lib/(${steps.join('|')})/` },
    },
    {
      name: 'steps-are-given-what-they-use',
      comment: 'Only wiring builds the real dependencies; a step that imported it could reach everything.',
      severity: 'error',
      from: { path: `^lib/(${steps.join('|')})/`, pathNot: test },
      to: { path: '^lib/(wiring|house|check-health|read-network)\\.ts$' },
    },
    {
      name: 'sql-only-in-stores',
      severity: 'error',
      from: {
        path: '^(lib|api|gateway|clock|app|components|packages)/|^server\\.ts$',
        pathNot: `^lib/[^/]+/store[^/]*\\.ts$|^lib/db/|${test}`,
      },
      to: { path: '(^|node_modules/)(kysely|pg|@types/pg)(/|$)' },
    },
    {
      name: 'the-chain-only-behind-the-rail-and-in-the-payer',
      severity: 'error',
      from: {
        path: '^(lib|api|gateway|clock|app|components|packages)/|^server\\.ts$',
        pathNot: `^lib/payments/x402-[^/]*\\.ts$|^packages/sdk/src/pay[^/]*\\.ts$|^packages/localnet/|${test}`,
      },
      to: { path: chainPackages },
    },
    {
      name: 'the-engine-only-in-runtimes',
      severity: 'error',
      from: { path: '^(lib|api|gateway|clock|app|components|packages)/|^server\\.ts$', pathNot: `^packages/agent/src/runtimes/|${test}` },
      to: { path: '(^|node_modules/)(@types/)?dockerode(/|$)' },
    },
    {
      name: 'doors-and-pages-call-verbs-never-stores',
      severity: 'error',
      from: { path: '^(app|components|api|gateway|clock)/', pathNot: test },
      to: { path: '^lib/[^/]+/store[^/]*\\.ts$|^lib/db/' },
    },
    {
      name: 'components-never-lib',
      severity: 'error',
      from: { path: '^components/', pathNot: test },
      to: { path: '^lib/|^(api|gateway|clock)/' },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'every-import-is-there', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(\\.next|\\.flow402)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.json', '.d.ts'],
    },
  },
}

/*
 * Which file may import which (docs/architecture, "The house"): only downwards, types included, and no circle. A layer may import
 * itself and those below it. `npm run check` runs it; swc reads the source, since TypeScript 7 has no API to read it with.
 */

/** From the top to the bottom. A file is of the first layer that has a pattern which it matches. */
const layers = [
  { name: 'entries', paths: ['^src/cli/', '^src/runtime/', '^src/features/[^/]+/demo\\.ts$'] },
  { name: 'app', paths: ['^src/app\\.ts$'] },
  {
    name: 'routes',
    paths: [
      '^src/features/[^/]+/[^/]*routes\\.ts$',
      '^src/features/reports/upload\\.ts$',
      '^src/(audit|observability)/routes\\.ts$',
      '^src/(features/[^/]+|audit|observability)/openapi\\.ts$',
      '^src/openapi/',
    ],
  },
  { name: 'jobs', paths: ['^src/jobs/'] },
  { name: 'features', paths: ['^src/features/[^/]+/(?!schema\\.ts$|working-hours\\.ts$)'] },
  { name: 'idempotency', paths: ['^src/idempotency/(?!schema\\.ts$)'] },
  { name: 'audit', paths: ['^src/audit/(?!schema\\.ts$)'] },
  { name: 'access', paths: ['^src/access/(?!schema\\.ts$)'] },
  {
    name: 'tables',
    paths: ['^src/features/[^/]+/schema\\.ts$', '^src/[^/]+/schema\\.ts$', '^src/features/doctors/working-hours\\.ts$'],
  },
  { name: 'observability', paths: ['^src/observability/'] },
  { name: 'http', paths: ['^src/http/'] },
  { name: 'database', paths: ['^src/database/'] },
  { name: 'context', paths: ['^src/context\\.ts$', '^src/config\\.ts$', '^src/roles\\.ts$'] },
]

const pathsAbove = (index) => layers.slice(0, index).flatMap(({ paths }) => paths)

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    ...layers.flatMap(({ name, paths }, index) =>
      index === 0
        ? []
        : [
            {
              name: `${name}-imports-down`,
              severity: 'error',
              from: { path: paths, pathNot: pathsAbove(index) },
              to: { path: pathsAbove(index) },
            },
          ],
    ),
    {
      name: 'of-another-feature-only-the-schema',
      severity: 'error',
      from: { path: '^src/features/([^/]+)/' },
      to: { path: '^src/features/', pathNot: ['^src/features/$1/', '^src/features/[^/]+/schema\\.ts$'] },
    },
    {
      name: 'only-access-names-the-tables-of-features',
      severity: 'error',
      from: {
        path: '^src/(access|audit|idempotency|http|database|observability)/',
        pathNot:
          '^src/(access/(visibility|authenticate|live-session|patient-access|doctor-access)|(access|audit|idempotency)/schema)\\.ts$',
      },
      to: { path: '^src/features/' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
}

// Two processes of the API on one port. With `silent`, the primary knows nothing of metrics.
import cluster from 'node:cluster'
import { shareMetrics } from '../../src/operation/metrics.cluster.node.ts'

if (cluster.isPrimary) {
  if (process.argv[2] !== 'silent') shareMetrics()
  const workers = [cluster.fork(), cluster.fork()]
  for (const worker of workers) {
    worker.once('listening', () => process.stdout.write(`listening: ${worker.process.pid}\n`))
    worker.once('exit', () => process.stdout.write(`ended: ${worker.process.pid}\n`))
  }
  process.once('SIGTERM', () => {
    for (const worker of workers) worker.process.kill('SIGTERM')
  })
} else await import('../../src/node.ts')

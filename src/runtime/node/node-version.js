// Plain JavaScript, and loaded first: an older Node cannot read the rest of the source, and would only say that.
const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(`Node 24 or newer is needed; this is ${process.version}. npm ci brings one for npm's scripts.\n`)
  process.exit(1)
}

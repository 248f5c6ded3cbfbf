/** A small wrong in one place of a file: `text` is the whole file with it. */
export type Mutant = { file: string; line: number; before: string; after: string; text: string }

type Replacement = { pattern: RegExp; by: string }

/** What is replaced where it stands in a line, one place at a time. Comparisons have spaces around them, unlike types. */
const replacements: Replacement[] = [
  { pattern: / && /g, by: ' || ' },
  { pattern: / \|\| (?!')/g, by: ' && ' },
  { pattern: / === /g, by: ' !== ' },
  { pattern: / !== /g, by: ' === ' },
  { pattern: / <> /g, by: ' = ' },
  { pattern: / < /g, by: ' <= ' },
  { pattern: / <= /g, by: ' < ' },
  { pattern: / > /g, by: ' >= ' },
  { pattern: / >= /g, by: ' > ' },
  { pattern: / \+ 1\b/g, by: ' + 0' },
  { pattern: /\btrue\b/g, by: 'false' },
  { pattern: /\bfalse\b/g, by: 'true' },
  { pattern: /\bif \((?!.*\) \{$).+?\) (?=return|throw|await|[a-z]+[.(])/g, by: 'if (false) ' },
  { pattern: /\bif \(.+\) \{$/g, by: 'if (Math.abs(0)) {' },
  // SQL
  { pattern: / and (?=.*[`$(])/g, by: ' or ' },
  { pattern: / is null\b/g, by: ' is not null' },
  { pattern: / is not null\b/g, by: ' is null' },
  { pattern: / for (update of \$\{table\}|no key update|update|share)(?=`)/g, by: '' },
  { pattern: /\bnot exists\b/g, by: 'exists' },
  { pattern: / on conflict do nothing\b/g, by: '' },
  // Who may do what.
  { pattern: /, (doctor|patient): '\w+'/g, by: '' },
  { pattern: /'(visible|createdBy\w+|ownProfile|uploadedByCaller)'(?=[, }]+)/g, by: "'all'" },
]

/** The places between brackets at `open` where the arguments of a call begin and end. */
function argumentsAt(text: string, open: number): [from: number, to: number][] {
  const found: [number, number][] = []
  let depth = 0
  let from = open + 1
  for (let at = open; at < text.length; at += 1) {
    const character = text.charAt(at)
    if ('([{'.includes(character)) depth += 1
    if (')]}'.includes(character)) depth -= 1
    if ((character === ',' && depth === 1) || depth === 0) {
      if (text.slice(from, at).trim() !== '') found.push([from, at])
      from = at + 1
    }
    if (depth === 0) return found
  }
  return []
}

const isProse = (line: string) =>
  /^\s*(\/\/|\*|\/\*|import |export type |type )|detail:|description:|summary:|message/.test(line)

/** All mutants of a TypeScript file: an operator turned round, a condition never met, a condition of several left out, a statement left out. */
export function mutantsOf(file: string, source: string): Mutant[] {
  const mutants: Mutant[] = []
  const lineAt = (index: number) => source.slice(0, index).split('\n').length
  const add = (from: number, to: number, by: string) => {
    const text = source.slice(0, from) + by + source.slice(to)
    mutants.push({ file, line: lineAt(from), before: source.slice(from, to), after: by, text })
  }
  let start = 0
  for (const line of source.split('\n')) {
    if (!isProse(line)) {
      for (const { pattern, by } of replacements)
        for (const match of line.matchAll(pattern)) add(start + match.index, start + match.index + match[0].length, by)
      if (/^\s+(await )?[a-z][\w.]*(\?\.)?\(.*\)$/.test(line) || /^\s+throw .*\)$/.test(line))
        add(start, start + line.length, '')
    }
    start += line.length + 1
  }
  for (const { index } of source.matchAll(/\b(and|or)(?=\()/g)) {
    const inLine = source.slice(source.lastIndexOf('\n', index) + 1, index)
    const places = isProse(inLine) ? [] : argumentsAt(source, index + source.slice(index).indexOf('('))
    if (places.length > 1) for (const [from, to] of places) add(from, to, 'undefined')
  }
  return mutants
}

/** All mutants of a migration: each line of a trigger or constraint with an operator turned round, or left out. */
export function mutantsOfSql(file: string, source: string): Mutant[] {
  const mutants: Mutant[] = []
  const lines = source.split('\n')
  const add = (index: number, after: string) => {
    const text = lines.with(index, after).join('\n')
    mutants.push({ file, line: index + 1, before: lines[index] ?? '', after, text })
  }
  const turned: Replacement[] = [
    { pattern: / and /gi, by: ' or ' },
    { pattern: / with && /gi, by: ' with = ' },
    { pattern: / with = /gi, by: ' with && ' },
    { pattern: /'\[\)'/g, by: "'[]'" },
    { pattern: / or (update|delete|truncate)/gi, by: '' },
    { pattern: /update or /gi, by: '' },
    { pattern: / (<|>) /g, by: ' = ' },
    { pattern: / is distinct from /gi, by: ' is not distinct from ' },
    { pattern: / = 'scheduled'/gi, by: " = 'cancelled'" },
    { pattern: / is null/gi, by: ' is not null' },
    { pattern: /raise exception/gi, by: 'raise notice' },
  ]
  for (const [index, line] of lines.entries()) {
    if (line.startsWith('--')) continue
    for (const { pattern, by } of turned)
      for (const match of line.matchAll(pattern))
        add(index, line.slice(0, match.index) + by + line.slice(match.index + match[0].length))
  }
  return mutants
}

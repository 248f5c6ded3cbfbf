/** The value of a sample in Prometheus' text, by its name and labels as they stand there. */
export const sample = (text: string, name: string): number => {
  const line = text.split('\n').find((line) => line.startsWith(`${name} `))
  if (!line) throw new Error(`no ${name} in\n${text}`)
  return Number(line.slice(name.length))
}

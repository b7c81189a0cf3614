/** Progress goes to standard error: standard output holds the results alone. */
export function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

/**
 * A program to start in tests. It prints its process id, its Node and its arguments as one line of JSON. Then its first
 * argument decides: `end` ends with the code in the second argument, `wait` waits and ends with 7 on SIGTERM, `die` ends
 * by SIGKILL, `read` prints its standard input.
 */

const [, , task, ...rest] = process.argv;
if (task === 'wait') process.on('SIGTERM', () => process.exit(7));
process.stdout.write(`${JSON.stringify({ pid: process.pid, node: process.versions.node, arguments: rest })}\n`);
switch (task) {
  case 'end':
    process.exitCode = Number(rest[0]);
    break;
  case 'wait':
    new MessageChannel().port1.ref();
    break;
  case 'die':
    process.kill(process.pid, 'SIGKILL');
    break;
  case 'read':
    process.stdin.pipe(process.stdout);
}

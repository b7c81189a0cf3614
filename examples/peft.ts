/**
 * An adapter that was trained in Python with Hugging Face PEFT, brought into a running server.
 *
 *   npm start                           a server, in one terminal
 *   node examples/peft.ts <folder>      in another; the folder holds adapter_model.safetensors and adapter_config.json
 *
 * The adapter must be of the model that the server serves. It becomes a candidate, the gate judges it, and it goes live
 * or is rejected, as a version that the learner made.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, defaultAddress, type Version } from 'hone-agent/client';

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Name the folder of the adapter: node examples/peft.ts <folder>');
  process.exit(2);
}

const hone = await connect({ address: process.env.HONE_ADDRESS ?? defaultAddress });

/** The version once it has gone live, was rejected, or could not be either. Its events are kept, so none is missed. */
async function settled(number: number): Promise<Version> {
  const types = ['version_promoted', 'version_rejected', 'version_failed'] as const;
  for await (const event of hone.watchEvents({ afterSequence: 0, types })) {
    if (event.version !== number) continue;
    if (event.type === 'version_failed') console.log(`version ${number}: ${event.detail}`);
    break;
  }
  return hone.version(number);
}

/** The likeliest completion of a prompt under a version. */
async function complete(version: number): Promise<string> {
  const content = 'My boss keeps losing my coat. Should I set some rules?';
  const request = { messages: [{ role: 'user', content }], temperature: 0, maxTokens: 32, store: false } as const;
  const { completions } = await hone.generate({ ...request, version });
  return completions[0]?.text ?? '';
}

const { live } = await hone.status();
const imported = await hone.importVersion({
  'adapter_config.json': await readFile(join(folder, 'adapter_config.json')),
  'adapter_model.safetensors': await readFile(join(folder, 'adapter_model.safetensors')),
});
console.log(`version ${imported.number} is a candidate, of rank ${imported.metrics.rank}`);

const { mode } = await hone.mode();
if (mode === 'auto') {
  const { state, verdict, rejectedBecause } = await settled(imported.number);
  for (const { check, outcome, detail } of verdict) console.log(`  ${check}: ${outcome} (${detail})`);
  console.log(`version ${imported.number} is ${state}${rejectedBecause === '' ? '' : `: ${rejectedBecause}`}`);
  if (state === 'live') {
    console.log(`before: ${JSON.stringify(await complete(live.number))}`);
    console.log(`after:  ${JSON.stringify(await complete(imported.number))}`);
  }
} else {
  console.log(`In the mode ${mode} it does not go live at once: docs/rollout.md says what happens next.`);
}
hone.close();

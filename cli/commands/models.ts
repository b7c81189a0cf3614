/** `hone models`: lists what the cache of Hugging Face holds, and removes from it. */

import type { Command } from 'commander';

interface ModelsFlags {
  readonly json?: boolean;
}

/** Adds the command. */
export function addModelsCommand(program: Command): void {
  const command = program
    .command('models')
    .summary('list or remove models of the cache')
    .description(
      'Lists the models in the cache of Hugging Face, whoever fetched them, with the forms that Hone reads. The folder is that of HF_HUB_CACHE or HF_HOME.',
    )
    .option('--json', 'print one line of JSON per model')
    .action(async (flags: ModelsFlags) => {
      const { runModels } = await import('../hub/main.js');
      await runModels(flags);
    });
  command
    .command('remove')
    .summary('remove a model, a revision or a variant')
    .description(
      'Removes owner/name with all of its revisions, owner/name@revision, or the weights of owner/name:variant. What another snapshot needs stays.',
    )
    .argument('<model>', 'owner/name[:variant][@revision]')
    .option('--json', 'print one line of JSON')
    .action(async (model: string, _: ModelsFlags, self: Command) => {
      const { runRemove } = await import('../hub/main.js');
      await runRemove(model, self.optsWithGlobals<ModelsFlags>());
    });
}

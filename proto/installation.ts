/** A part of the installed program that cannot be loaded, in words: for the command, and for the server as it starts. */

/** How Node says that a module or a native library cannot be loaded. */
const loadCodes = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED']);

/**
 * What is wrong and what to do, when `thrown` says that a package of Hone, or a native library in one, is missing, is
 * damaged or is made for another platform; undefined for every other error.
 */
export function installationFault(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (!(thrown instanceof Error) || !loadCodes.has(code)) return undefined;
  const [reason = ''] = thrown.message.split('\n');
  const platform = `${process.platform} on ${process.arch}`;
  return (
    `a part of Hone cannot be loaded on this machine (${platform}): ${reason}. Delete node_modules and install the packages ` +
    'again (in a clone, `npm start` does). onnxruntime-node has libraries for Linux with glibc and for Windows, on x64 and ' +
    'arm64, and for macOS on arm64.'
  );
}

/** Explains why a part of the installed program cannot be loaded: for the command and for a server that starts. */

/** Node's error codes for a module or native library that cannot be loaded. */
const loadCodes = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED']);

/**
 * Returns the reason and the remedy if `thrown` means that a package of Hone or a native library in it is missing, damaged
 * or built for another platform. Returns undefined for every other error.
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

/** What a provider does to its process when its driver fails. */

process.stderr.write('the driver is gone', () => process.abort());

/** A child process that ends as with a provider whose driver fails. */

process.stderr.write('the driver is gone', () => process.abort());

/** Serves the hub of the tests with its small repository and prints its address, for `make_hub_fixture.py`. */

import { smallRepository, TestHub } from '../support/hub.js';

const hub = await TestHub.start(smallRepository());
process.stdout.write(`${hub.endpoint}\n`);

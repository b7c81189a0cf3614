/** What `hone tfjs-setup` runs. */

export { type AddonReport, type AddonRequest, buildTfjsAddon } from '../src/learner/engine/tfjs/native-addon.js';

/** Attacks with frames that no library would send, and with connections. */

import { get } from 'node:http';
import { type Attack, path, type Target } from './attack.js';
import {
  callHeaders,
  endHeaders,
  endStream,
  type FrameConnection,
  frame,
  frameTypes,
  headerField,
} from './frame-connection.js';
import { framed, repeated } from './wire.js';

const none = Buffer.alloc(0);
const generate = path('GenerationService', 'Generate');

/** Floods one connection with the same bytes, as fast as the server takes them. */
function flood(name: string, bytes: () => Buffer, megabytes = 4): Attack {
  return {
    name,
    async round(target) {
      const connection = await target.frames();
      const part = repeated(bytes(), undefined, 64 * 1024);
      for (let sent = 0; sent < megabytes * 1024 * 1024 && connection.isUsable && !target.over.aborted; ) {
        await connection.send(part);
        sent += part.length;
      }
      await settled(target, connection);
    },
  };
}

/** Waits until the server answers a call on another connection, so that a round counts until it is dealt with. */
async function settled(target: Target, connection: FrameConnection): Promise<void> {
  await target.answered();
  connection.close();
}

/** Opens connections, lets them lie, and closes them. */
function connections(name: string, count: number, starts: boolean, greet: Buffer = none): Attack {
  return {
    name,
    async round(target) {
      const opened: FrameConnection[] = [];
      const perTurn = 100;
      for (let from = 0; from < count; from += perTurn) {
        opened.push(...(await Promise.all(Array.from({ length: perTurn }, () => target.frames({ starts })))));
      }
      if (greet.length > 0) await Promise.all(opened.map((connection) => connection.send(greet)));
      await target.answered();
      for (const connection of opened) connection.close();
    },
  };
}

/** The data of a call in frames of one byte. 60,000 bytes fit into the window that a connection begins with. */
function oneByteFrames(): Buffer {
  const message = framed(Buffer.alloc(59_000, 'a'));
  const frames = [frame(frameTypes.headers, endHeaders, 1, callHeaders(generate))];
  for (const byte of message) frames.push(frame(frameTypes.data, 0, 1, Buffer.from([byte])));
  frames.push(frame(frameTypes.data, endStream, 1));
  return Buffer.concat(frames);
}

export const connectionAttacks: readonly Attack[] = [
  flood('pings', () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))),
  flood('settings', () => frame(frameTypes.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))),
  flood('empty-settings', () => frame(frameTypes.settings, 0, 0)),
  flood('priorities', () => frame(frameTypes.priority, 0, 1, Buffer.from([0, 0, 0, 3, 16]))),
  flood('window-updates', () => frame(frameTypes.windowUpdate, 0, 0, Buffer.from([0, 0, 0, 1]))),
  flood('unknown-frames', () => frame(0xee, 0, 0, Buffer.alloc(8))),
  {
    name: 'continuations',
    async round(target) {
      const connection = await target.frames();
      await connection.send(frame(frameTypes.headers, 0, 1, callHeaders(generate)));
      const part = repeated(
        frame(frameTypes.continuation, 0, 1, headerField('x-note', 'x'.repeat(1000))),
        undefined,
        64 * 1024,
      );
      for (let i = 0; i < 200 && connection.isUsable; i++) await connection.send(part);
      await settled(target, connection);
    },
  },
  {
    name: 'empty-continuations',
    async round(target) {
      const connection = await target.frames();
      await connection.send(frame(frameTypes.headers, 0, 1, callHeaders(generate)));
      const part = repeated(frame(frameTypes.continuation, 0, 1), undefined, 64 * 1024);
      for (let i = 0; i < 100 && connection.isUsable; i++) await connection.send(part);
      await settled(target, connection);
    },
  },
  {
    name: 'one-byte-frames',
    async round(target) {
      const connection = await target.frames();
      await connection.send(oneByteFrames());
      await settled(target, connection);
    },
  },
  {
    name: 'empty-data-frames',
    async round(target) {
      const connection = await target.frames();
      await connection.send(frame(frameTypes.headers, endHeaders, 1, callHeaders(generate)));
      const part = repeated(frame(frameTypes.data, 0, 1), undefined, 64 * 1024);
      for (let i = 0; i < 60 && connection.isUsable; i++) await connection.send(part);
      await settled(target, connection);
    },
  },
  {
    name: 'window-never-opened',
    async round(target) {
      const connection = await target.frames();
      // An initial window of 0: the server may never send a byte of an answer.
      await connection.send(frame(frameTypes.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])));
      const block = callHeaders('/grpc.health.v1.Health/Check');
      for (let i = 0; i < 1000 && connection.isUsable; i++) {
        const id = 2 * i + 1;
        await connection.send(
          Buffer.concat([
            frame(frameTypes.headers, endHeaders, id, block),
            frame(frameTypes.data, endStream, id, framed(none)),
          ]),
        );
      }
      await settled(target, connection);
    },
  },
  connections('connections-1000', 1000, true),
  connections('half-open-connections-1000', 1000, false),
  connections('garbage-1000', 1000, false, Buffer.from('GET / HTTP/1.1\r\nHost: hone\r\n\r\n')),
  connections('tls-hellos-1000', 1000, false, Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])),
  {
    name: 'scrapes-100',
    async round({ metricsUrl, outcomes }) {
      const url = metricsUrl;
      if (url === null) return;
      await Promise.all(
        Array.from(
          { length: 100 },
          () =>
            new Promise<void>((resolve) => {
              const request = get(url, { agent: false }, (response) => response.resume().once('close', resolve));
              request.once('error', () => {
                outcomes['scrape failed'] = (outcomes['scrape failed'] ?? 0) + 1;
                resolve();
              });
            }),
        ),
      );
    },
  },
];

/** Switches that VMs of one process share: as many places as are asked for, over workers of their own. */
import { setTimeout as later } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { ActorSystem } from '../../actors/runtime/system.js';
import { LinkEnd } from '../../devices/network/link/frame-link.js';
import { FrameGuest } from '../../test/drivers/frame-guest.js';
import { spec } from '../../test/harness/spec.js';
import { LocalNetworks, type NetworkPort } from './local-network.js';

const test = spec('local networks');
const EVERYBODY = Uint8Array.of(255, 255, 255, 255, 255, 255);
const MINUTE = 60_000;

test(
  'places of one name hear each other over several workers, others do not; a place that was given back is another\u2019s',
  async () => {
    const system = new ActorSystem({ onLog: () => undefined });
    try {
      const networks = new LocalNetworks(system);
      let made = 0;
      const join = async (name: string): Promise<{ port: NetworkPort; guest: FrameGuest }> => {
        const n = made++;
        const port = await networks.port(name, `vm${n}`);
        if (!port.ok) throw new Error(port.error);
        const mac = Uint8Array.of(0x52, 0x54, 0, 0, 0, n);
        port.value.open(mac);
        const end = LinkEnd.attach(port.value.link, 0, (actor) => system.sender.ring({ actor }, 1));
        end.drain();
        return { port: port.value, guest: new FrameGuest(end, mac, n) };
      };
      const lan = await Promise.all(Array.from({ length: 9 }, () => join('lan')));
      const other = await join('other');
      assert.is(new Set(lan.map(({ port }) => port.link)).size, lan.length);
      const heard = async (from: number): Promise<void> => {
        lan[from]?.guest.frame(0x88b5, Buffer.from(`from ${from}`), EVERYBODY);
        const rest = lan.filter((_, n) => n !== from);
        while (!rest.every(({ guest }) => guest.link.waiting)) await later(2);
        for (const { guest } of rest) assert.is(guest.take().length, 1);
      };
      await heard(0);
      await heard(8);
      assert.equal(
        networks.usersOf('switch:lan/1'),
        Array.from({ length: 9 }, (_, n) => `vm${n}`),
      );
      assert.is(networks.usersOf('vm0-net1'), undefined);
      const [gone] = lan;
      gone?.port.close();
      lan[1]?.guest.frame(0x88b5, Buffer.from('for those who are there'), EVERYBODY);
      while (!lan.slice(2).every(({ guest }) => guest.link.waiting)) await later(2);
      assert.not.ok(gone?.guest.link.waiting);
      for (const { guest } of lan.slice(2)) guest.take();
      // Five places are free before that one comes round again.
      const later6 = await Promise.all(Array.from({ length: 6 }, () => join('lan')));
      assert.ok(later6.some(({ port }) => port.link === gone?.port.link));
      lan[0] = later6.find(({ port }) => port.link === gone?.port.link) ?? other;
      lan.push(...later6.filter(({ port }) => port.link !== gone?.port.link));
      await heard(0);
      assert.not.ok(other.guest.link.waiting);
    } finally {
      await system.close();
    }
  },
  { deadlineMs: MINUTE },
);

test.run();

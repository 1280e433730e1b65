/** Starts a host's VM manager and connects it with the resource manager: the queues that the host VM was given ring it. */
import type { AdoptedVm } from '../../actors/resource-manager/resource-manager.protocol.js';
import { GunyahDevice } from '../../actors/vm-manager/gunyah-device.js';
import { vmManagerKind } from '../../actors/vm-manager/vm-manager.actor.js';
import type { VmManagerConfig } from '../../actors/vm-manager/vm-manager.protocol.js';
import { BuildFailure } from './core-client.js';
import type { HostParts } from './host-parts.js';

/** Opens the device of a fresh manager. Throws BuildFailure. */
export async function openManager(
  { system, memory, core, options }: HostParts,
  config: Omit<VmManagerConfig, 'memory' | 'core'>,
  { tx, rx }: AdoptedVm,
): Promise<GunyahDevice> {
  const name = `${options.name}-manager`;
  const started = await system.spawn(vmManagerKind, { ...config, memory, core: core.ref }, { name });
  if (!started.ok) throw new BuildFailure(`the VM manager did not start (${JSON.stringify(started.error)})`);
  const { actor } = started.value;
  for (const [object, source] of [
    [tx.object, 'second'],
    [rx.object, 'first'],
  ] as const) {
    await core.ask('unbindSource', { object, source });
    await core.ask('bindActor', { object, source, actor });
  }
  const connected = await system.sender.ask(started.value, 'connect', { tx: tx.object, rx: rx.object });
  const device = connected.ok
    ? await GunyahDevice.open(system.sender, started.value, config.generation)
    : { ok: false as const };
  if (!device.ok) throw new BuildFailure('the VM manager does not answer');
  return device.value;
}

/**
 * Every actor kind of the product and where the kill test (real-kills.integration.ts) finds one alive. The house rules
 * (test/tidy.test.ts) hold this table against the sources: a kind that is not here fails them.
 */

/** Where a kind is met and what its death means. */
export interface RealKind {
  /** Path of its module from the root, without its ending. */
  readonly module: string;
  /**
   * `machine`: part of every machine that `cli/machine` builds; `fullMachine`: of one with everything a machine can have;
   * `alone`: of no machine, such as what `npm start` shows.
   */
  readonly scene: 'machine' | 'fullMachine' | 'alone';
  /** Its registered name, behind the machine's name and a hyphen in a machine. */
  readonly name: string;
}

/** The table. */
export const REAL_KINDS: readonly RealKind[] = [
  { module: 'actors/gdb/gdb.actor', scene: 'fullMachine', name: 'gdb' },
  { module: 'actors/hypervisor/hypervisor.actor', scene: 'machine', name: 'core' },
  { module: 'actors/resource-manager/resource-manager.actor', scene: 'fullMachine', name: 'rm' },
  { module: 'actors/translator/translator.actor', scene: 'machine', name: 'translator' },
  { module: 'actors/vcpu/vcpu.actor', scene: 'machine', name: 'vcpu1' },
  { module: 'actors/vm-manager/vm-manager.actor', scene: 'alone', name: 'vm-manager' },
  { module: 'devices/flash/flash.actor', scene: 'fullMachine', name: 'flash' },
  { module: 'devices/network/gateway/gateway.actor', scene: 'fullMachine', name: 'net3-gateway' },
  { module: 'devices/network/switch/local-switch.actor', scene: 'alone', name: 'local-switch' },
  { module: 'devices/network/switch/switch.actor', scene: 'alone', name: 'switch' },
  { module: 'devices/uart/console.actor', scene: 'machine', name: 'console' },
  { module: 'devices/virtio-9p/virtio-9p.actor', scene: 'fullMachine', name: 'share4' },
  { module: 'devices/virtio-balloon/virtio-balloon.actor', scene: 'fullMachine', name: 'balloon6' },
  { module: 'devices/virtio-blk/virtio-blk.actor', scene: 'fullMachine', name: 'disk2' },
  { module: 'devices/virtio-console/virtio-console.actor', scene: 'fullMachine', name: 'console0' },
  { module: 'devices/virtio-net/virtio-net.actor', scene: 'fullMachine', name: 'net3' },
  { module: 'devices/virtio-rng/virtio-rng.actor', scene: 'fullMachine', name: 'rng1' },
  { module: 'devices/virtio-vsock/virtio-vsock.actor', scene: 'fullMachine', name: 'vsock5' },
  { module: 'cli/demo/listener.actor', scene: 'alone', name: 'listener' },
  { module: 'cli/demo/talker.actor', scene: 'alone', name: 'talker' },
];

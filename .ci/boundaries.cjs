// Who may import whom. A violation fails the build (`npm run boundaries`). See docs/CONTRIBUTING.md.
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, pathNot: '\\.(test|integration)\\.ts$' },
  to: { path: '^(actors|bus|cpu|devices|cli|test|bench)/', pathNot: allowed },
});
const confine = (name, target, allowed) => ({
  name,
  severity: 'error',
  comment: `${name}: imported only from ${allowed}`,
  from: {
    path: '^(actors|bus|cpu|devices|cli|test|bench)/',
    pathNot: `${allowed}|^bench/|^test/|\\.(test|integration)\\.ts$`,
  },
  to: { path: target },
});
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', comment: 'no import cycles', from: {}, to: { circular: true } },
    {
      name: 'no-unresolved',
      severity: 'error',
      comment: 'every import resolves',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      comment: 'test/ and bench/ are leaves',
      from: { path: '^(actors|bus|cpu|devices|cli)/', pathNot: '\\.(test|integration)\\.ts$' },
      to: { path: '^(test|bench)/|\\.(test|integration)\\.ts$' },
    },
    only('bus-stands-alone', '^bus/', '^bus/', 'bus/ imports nothing of ours'),
    only(
      'cpu-is-pure',
      '^cpu/',
      '^cpu/|^bus/(result|status|assert|units)\\.ts$|^bus/layout/',
      'cpu/ imports only the ground floor of bus/',
    ),
    {
      name: 'cpu-no-node',
      severity: 'error',
      comment: 'cpu/ is pure: no node:* modules',
      from: { path: '^cpu/', pathNot: '\\.(test|integration)\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    only(
      'scanner-is-independent',
      '^cpu/jit/scanner/',
      '^cpu/jit/scanner/|^cpu/state\\.ts$|^bus/(result|assert)\\.ts$',
      'the scanner shares nothing with the emitter but the layout of the state block',
    ),
    only('runtime-on-bus', '^actors/runtime/', '^actors/runtime/|^bus/', 'actors/runtime imports bus/ only'),
    only(
      'shared-state-on-bus',
      '^actors/shared-state/',
      '^actors/shared-state/|^bus/',
      'actors/shared-state imports bus/ only',
    ),
    only(
      'abi',
      '^actors/abi/',
      '^actors/(abi|shared-state)/|^bus/|^actors/hypervisor/.*\\.protocol\\.ts$',
      "an ABI sees shared state and the core's message types",
    ),
    only(
      'hypervisor',
      '^actors/hypervisor/',
      '^actors/(hypervisor|runtime|shared-state|abi)/|^bus/',
      'the core sees no CPU and no device',
    ),
    only(
      'vcpu',
      '^actors/vcpu/',
      '^actors/(vcpu|runtime|shared-state|abi)/|^bus/|^cpu/|^actors/(hypervisor|translator)/.*\\.protocol\\.ts$',
      'a vCPU sees cpu/ and shared state',
    ),
    only(
      'translator',
      '^actors/translator/',
      '^actors/(translator|runtime)/|^bus/|^cpu/',
      'a translator sees cpu/ and the runtime',
    ),
    only(
      'gdb',
      '^actors/gdb/',
      '^actors/(gdb|runtime|shared-state)/|^bus/|^actors/vcpu/.*\\.protocol\\.ts$',
      "the debugger's stub knows vCPUs by their messages",
    ),
    only(
      'resource-manager',
      '^actors/resource-manager/',
      '^actors/(resource-manager|runtime|shared-state|abi)/|^bus/|^devices/machine/device-tree/|\\.(protocol|config)\\.ts$',
      'the resource manager drives the core by messages',
    ),
    only(
      'vm-manager',
      '^actors/vm-manager/',
      '^actors/(vm-manager|runtime|shared-state|abi)/|^bus/|^actors/resource-manager/(payload|rm-messages|rpc-packet|resource-types)\\.ts$|\\.protocol\\.ts$',
      'the VM manager knows the resource manager by its wire format',
    ),
    only(
      'devices',
      '^devices/',
      '^devices/|^bus/|^actors/(runtime|shared-state)/',
      'devices see the bus, the runtime and shared state',
    ),
    confine('piscina-in-runtime', 'node_modules/piscina', '^actors/runtime/'),
    confine('msgpackr-in-codec', 'node_modules/msgpackr', '^bus/codec/'),
    confine('commander-in-cli', 'node_modules/commander', '^cli/'),
    confine('worker-threads-in-runtime', '^(node:)?worker_threads$', '^actors/runtime/|^cli/'),
    confine('child-process-in-cli', '^(node:)?child_process$', '^cli/|^actors/runtime/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules|^dist/' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
};

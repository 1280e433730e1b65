/** Names of workers that run processors of VMs which guests made: `HOST-pPARTITION-vcpuINDEX`. */

/** A processor of a partition. */
export interface NamedProcessor {
  readonly partition: number;
  readonly index: number;
}

const WORKER = /^[a-z0-9-]*-p(\d+)-vcpu(\d+)$/;

/** The name of the worker that runs processor `index` of partition `partition` on the host called `host`. */
export function processorWorker(host: string, { partition, index }: NamedProcessor): string {
  return `${host}-p${partition}-vcpu${index}`;
}

/** Which processor a worker runs; undefined: its name is none of these. */
export function processorOf(worker: string): NamedProcessor | undefined {
  const found = WORKER.exec(worker);
  return found === null ? undefined : { partition: Number(found[1]), index: Number(found[2]) };
}

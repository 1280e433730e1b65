/** Command lines of images: console on the PL011, and a panic ends the machine instead of hanging. */
const IMAGE_ARGUMENTS = 'console=ttyAMA0 panic=-1';
/** The last one named is /dev/console, once it is there. */
const HVC_ARGUMENTS = ' console=hvc0';

/** What an image's kernel is told of its consoles. */
export function imageArguments(hasVirtioConsole: boolean): string {
  return `${IMAGE_ARGUMENTS}${hasVirtioConsole ? HVC_ARGUMENTS : ''}`;
}

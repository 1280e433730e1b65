/** What the core's object operations may answer; types only, so that ABIs and the resource manager can name them. */

/** Why an operation on capabilities was refused. */
export type CapabilityFault = 'capNull' | 'capRevoked' | 'wrongType' | 'noRight' | 'badState' | 'spaceFull';

/** Why an operation on objects was refused. */
export type ObjectFault =
  | CapabilityFault
  | 'badArgument'
  | 'badSize'
  | 'badAlignment'
  | 'noMemory'
  | 'noResource'
  | 'overflow'
  | 'denied'
  | 'busy'
  | 'badConfig'
  | 'bound'
  | 'notOwner'
  | 'mappingsFull'
  | 'wrongExtent'
  | 'existingMapping'
  | 'idle'
  | 'badAddress'
  | 'unimplemented';

/** What a thread can be attached to. */
export type AttachmentType = 'cspace' | 'addrspace' | 'vic' | 'powerGroup' | 'watchdog';

import type { FunctionComponent } from 'react';

/** Panel is a part of the page of a signed-in user. */
type Panel = FunctionComponent<{
  apiUrl: string;
  /** The backend has answered who the user is. */
  ready: boolean;
}>;

/** panels are what optional services add to the page: the file panel.tsx of each folder here. */
export const panels = Object.values(import.meta.glob<{ Panel: Panel }>('./*/panel.tsx', { eager: true })).map(
  (module) => module.Panel,
);

import { Fragment } from 'react';

/** Breakable shows an address or an id that a narrow screen breaks after a sign, not inside a word. */
export function Breakable({ children }: { children: string }) {
  return children.split(/(?<=[@./_-])(?=[\p{L}\p{N}])/u).map((part, i) => (
    <Fragment key={i}>
      {i > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}

import { useAuth } from '@clerk/react';
import { useEffect, useReducer, useRef, useState } from 'react';

import { useSessionToken } from '../backend';

type State = { kind: 'none' | 'connecting' } | { kind: 'connected'; renewed: number } | { kind: 'closed'; reason: string };

/** Panel shows a WebSocket of the service live, which stays open for as long as Clerk lets the user in. */
export function Panel({ apiUrl, ready }: { apiUrl: string; ready: boolean }) {
  const [state, connect] = useLive(`${apiUrl.replace(/^http/, 'ws')}/live/socket`, ready);
  const heading = useRef<HTMLHeadingElement>(null);

  function connectAgain() {
    heading.current?.focus(); // the button goes
    connect();
  }

  if (state.kind === 'none') return null;
  return (
    <section className="card" aria-labelledby="live">
      <h2 id="live" tabIndex={-1} ref={heading}>
        A live connection
      </h2>
      <div className="actions">
        <div role="status">
          {state.kind === 'connecting' && <p className="quiet">Connecting…</p>}
          {state.kind === 'connected' && <p className="good">Connected</p>}
          {state.kind === 'closed' && <p className="problem">Closed: {state.reason}</p>}
        </div>
        {state.kind === 'closed' && (
          <button type="button" className="button" onClick={connectAgain}>
            Connect again
          </button>
        )}
      </div>
      {state.kind === 'connected' && (
        <p className="quiet">It ends when Clerk bans the user. Fresh tokens sent: {state.renewed}</p>
      )}
    </section>
  );
}

/**
 * useLive connects as soon as the backend has answered who the user is. It connects again for another session, organization
 * or role, and when connect is called. It sends each fresh session token. After a refusal it does not try again by itself.
 */
function useLive(url: string, ready: boolean): [state: State, connect: () => void] {
  const { getToken, sessionId, orgId, orgRole } = useAuth();
  const token = useSessionToken();
  const [times, connect] = useReducer((n: number) => n + 1, 0);
  const [state, setState] = useState<State>({ kind: 'none' });
  const newest = useRef<WebSocket>(undefined);

  useEffect(() => {
    if (!ready) return;
    let left = false;
    let socket: WebSocket | undefined;
    setState({ kind: 'connecting' });
    getToken().then(
      (token) => {
        if (left) return;
        socket = new WebSocket(url, ['live', `bearer.${token}`]);
        newest.current = socket;
        listen(socket, (state) => newest.current === socket && setState(state));
      },
      () => left || setState({ kind: 'closed', reason: 'Clerk gives no session token.' }),
    );
    return () => {
      left = true;
      socket?.close();
    };
  }, [url, ready, getToken, sessionId, orgId, orgRole, times]);

  useEffect(() => {
    if (newest.current?.readyState === WebSocket.OPEN) newest.current.send(JSON.stringify({ type: 'token', token }));
  }, [token]);

  return [state, connect];
}

/** listen tells what becomes of a connection. */
function listen(socket: WebSocket, tell: (state: State) => void) {
  let renewed = 0;
  socket.onmessage = ({ data }) => {
    const { type } = JSON.parse(data);
    if (type === 'renewed') renewed++;
    if (type === 'ready' || type === 'renewed') tell({ kind: 'connected', renewed });
  };
  socket.onclose = ({ code }) => tell({ kind: 'closed', reason: reasons[code] ?? 'the backend refused it, or the network failed.' });
}

/** reasons put the close codes into words. A browser does not tell a page why no connection was opened (1006). */
const reasons: Record<number, string> = {
  1001: 'the backend stops.',
  1005: 'this page ended it.',
  1013: 'this page reads too slowly.',
  4401: 'the user was banned or signed out, has another role, or sent no fresh token.',
};

import { useState } from 'react';

import type { Answer } from './backend';
import { Breakable } from './Breakable';

/** Request shows the request to the backend and its answer. */
export function Request({ answer, apiUrl, ask }: { answer: Answer; apiUrl: string; ask: () => void }) {
  const sent = answer.kind === 'profile' || answer.kind === 'refused';
  return (
    <>
      <h2>The request</h2>
      <pre className="code">
        <b>GET</b> <Breakable>{`${apiUrl}/user/profile`}</Breakable>
        {'\n'}Authorization: Bearer {sent ? <Shortened token={answer.token} /> : '…'}
      </pre>
      <h2>The answer</h2>
      <pre className="code">{shown(answer)}</pre>
      <div className="actions">
        <button type="button" className="button" onClick={ask}>
          Ask again
        </button>
        {sent && <CopyCurl url={`${apiUrl}/user/profile`} token={answer.token} />}
      </div>
    </>
  );
}

function shown(answer: Answer) {
  switch (answer.kind) {
    case 'asking':
      return '…';
    case 'profile':
      return (
        <>
          <b className="good">200</b> in {answer.took} ms{'\n'}
          <Breakable>{JSON.stringify(answer.profile, null, 2)}</Breakable>
        </>
      );
    case 'refused':
      return (
        <>
          <b className="bad">{answer.status}</b>
          {'\n'}
          {JSON.stringify({ code: answer.code, message: answer.message }, null, 2)}
        </>
      );
    default:
      return <b className="bad">none</b>;
  }
}

/** Shortened shows the three parts of a token: header, claims and signature. */
function Shortened({ token }: { token: string }) {
  const [header, claims, signature] = token.split('.');
  return (
    <span className="jwt">
      <span>{header.slice(0, 6)}…</span>.<span>{claims.slice(0, 6)}…</span>.<span>{signature.slice(0, 6)}…</span>
    </span>
  );
}

function CopyCurl({ url, token }: { url: string; token: string }) {
  const [copied, setCopied] = useState<string>(); // the token whose command was copied
  async function copy() {
    await navigator.clipboard.writeText(`curl -H 'Authorization: Bearer ${token}' ${url}`);
    setCopied(token);
  }
  return (
    <button type="button" className="button" onClick={copy}>
      <span aria-live="polite">{copied === token ? 'Copied' : 'Copy as curl'}</span>
    </button>
  );
}

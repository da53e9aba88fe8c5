import { useEffect, useState } from 'react';

import { Breakable } from './Breakable';
import { describe, readClaims } from './claims';

/** Token shows the newest session token: its time left and its claims. */
export function Token({ token }: { token: string }) {
  const claims = readClaims(token);
  const exp = Number(claims.exp);
  const lifetime = exp - Number(claims.iat);
  const left = Math.min(lifetime, Math.max(0, Math.ceil(exp - useNow() / 1000)));
  return (
    <section className="card" aria-labelledby="token">
      <h2 id="token">The session token</h2>
      <p className="left" role="timer">
        <strong>{left} s</strong> left of {lifetime} s
      </p>
      <progress aria-label="Time left of the session token" max={lifetime} value={left} />
      <p className="quiet">
        {left > 0
          ? 'Clerk’s JavaScript renews it before it expires.'
          : 'Clerk has not renewed it yet. Its JavaScript goes on trying.'}
      </p>
      <details open={matchMedia('(min-width: 52rem)').matches}>
        <summary>Its claims</summary>
        <dl className="claims">
          {describe(claims).map(({ name, value, meaning }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                <code>
                  <Breakable>{value}</Breakable>
                </code>
                <small>{meaning}</small>
              </dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

/** useNow returns the time in milliseconds, and renders again every second. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

import { useClerk, useUser } from '@clerk/react';
import { useEffect, useRef } from 'react';

import { useProfile, useSessionToken } from './backend';
import type { Config } from './config';
import { panels } from './panels';
import { Problem } from './Problem';
import { Request } from './Request';
import { Token } from './Token';

export function SignedIn({ config }: { config: Config }) {
  const [answer, ask] = useProfile(config.apiUrl);
  const token = useSessionToken();
  const { user } = useUser();
  const heading = useRef<HTMLHeadingElement>(null);
  // Signing in removed the button that had the focus.
  useEffect(() => heading.current?.focus(), []);

  return (
    <div className="columns">
      <div className="stack">
        <section className="card" aria-labelledby="who">
          <h1 id="who" tabIndex={-1} ref={heading}>
            You are signed in
          </h1>
          <div role="status">
            {answer.kind === 'asking' && <p className="lead">Asking the backend who you are…</p>}
            {answer.kind === 'profile' && (
              <p className="lead">
                The backend says who you are
                {answer.profile.email ? '.' : ': a user without a primary email address.'}
              </p>
            )}
            <Problem answer={answer} config={config} />
          </div>
          <Request answer={answer} apiUrl={config.apiUrl} ask={ask} />
          <Organization />
        </section>
        {panels.map((Panel, n) => (
          <Panel key={`${user?.id} ${n}`} apiUrl={config.apiUrl} ready={answer.kind === 'profile'} />
        ))}
      </div>
      {token && <Token token={token} />}
    </div>
  );
}

/** Organization switches the active organization of a user who is a member of one or more. */
function Organization() {
  const { setActive, organization } = useClerk();
  const { user } = useUser();
  if (!user?.organizationMemberships.length) return null;
  return (
    <p className="field">
      <label htmlFor="organization">Active organization</label>
      <select
        id="organization"
        value={organization?.id ?? ''}
        onChange={(event) => setActive({ organization: event.target.value || null })}
      >
        <option value="">None</option>
        {user.organizationMemberships.map(({ organization, role }) => (
          <option key={organization.id} value={organization.id}>
            {organization.name} ({roleName(role)})
          </option>
        ))}
      </select>
    </p>
  );
}

/** roleName returns a role's key as words: org:billing_manager is "Billing manager". */
function roleName(role: string): string {
  const words = role.replace('org:', '').replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

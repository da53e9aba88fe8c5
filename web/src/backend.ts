import { useAuth, useClerk } from '@clerk/react';
import { useCallback, useEffect, useReducer, useState, useSyncExternalStore } from 'react';

import Client, { isAPIError, type profile } from './client';

/** Time before the next attempt, in milliseconds, when only waiting helps. */
const RETRY_AFTER = 2000;

/** Failure is why a call has no result. */
export type Failure =
  | { kind: 'refused'; token: string; status: number; code: string; message: string; details?: unknown }
  | { kind: 'unreachable' }
  | { kind: 'no-token'; message: string };

/** Answer is the result of GET /user/profile. */
export type Answer =
  | { kind: 'asking' }
  | { kind: 'profile'; token: string; profile: profile.Profile; took: number }
  | Failure;

/** useSessionToken returns the newest session token of Clerk's JavaScript, and renders again for each. */
export function useSessionToken(): string | null {
  const clerk = useClerk();
  const subscribe = useCallback((changed: () => void) => clerk.addListener(changed), [clerk]);
  return useSyncExternalStore(subscribe, () => clerk.session?.lastActiveToken?.getRawString() ?? null);
}

/** useProfile calls GET /user/profile with each new session token, and again when ask is called. */
export function useProfile(apiUrl: string): [answer: Answer, ask: () => void] {
  const { getToken } = useAuth();
  const token = useSessionToken();
  const [times, ask] = useReducer((n: number) => n + 1, 0);
  const [answer, setAnswer] = useState<Answer>({ kind: 'asking' });

  useEffect(() => {
    let current = true;
    askProfile(apiUrl, getToken).then((answer) => current && setAnswer(answer));
    return () => {
      current = false;
    };
  }, [apiUrl, getToken, token, times]);

  useEffect(() => {
    const waits = answer.kind === 'unreachable' || (answer.kind === 'refused' && answer.status === 503);
    if (!waits) return;
    const timer = setTimeout(ask, RETRY_AFTER);
    return () => clearTimeout(timer);
  }, [answer]);

  return [answer, ask];
}

async function askProfile(apiUrl: string, getToken: GetToken): Promise<Answer> {
  const answer = await call(apiUrl, getToken, (client) => client.user.GetProfile());
  if (answer.kind !== 'result') return answer;
  return { kind: 'profile', token: answer.token, profile: answer.result, took: answer.took };
}

type GetToken = () => Promise<string | null>;

/** call makes one request to the backend, with the session token that Clerk's JavaScript has at this moment. */
export async function call<T>(
  apiUrl: string,
  getToken: GetToken,
  request: (client: Client) => Promise<T>,
): Promise<{ kind: 'result'; token: string; result: T; took: number } | Failure> {
  let token: string;
  try {
    token = (await getToken()) ?? '';
  } catch (error) {
    return { kind: 'no-token', message: error instanceof Error ? error.message : String(error) };
  }
  const client = new Client(apiUrl, { auth: { Authorization: `Bearer ${token}` } });
  const start = performance.now();
  try {
    const result = await request(client);
    return { kind: 'result', token, result, took: Math.round(performance.now() - start) };
  } catch (error) {
    if (!isAPIError(error)) return { kind: 'unreachable' }; // fetch failed
    const { status, code, message, details } = error;
    return { kind: 'refused', token, status, code, message, details };
  }
}
